package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// constant is a number in the table of constants: a literal, or a literal times a unit of time.
type constant struct {
	name, text string // the value as it is written
	source     string // its comment: unit and source
	unit       string // time.Second and so on, "" for none
	value      float64
	whole      bool // it is written without a decimal point
	group      string
}

// table is the source of the constants.
type table struct {
	files     []string // absolute
	sources   [][]byte
	consts    [][]int // where each file has the keyword const
	constants []constant
}

// readTable reads the constants of a directory, in the order of their files.
func readTable(dir string) (*table, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("list the constants: %w", err)
	}
	var t table
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if err := t.read(name); err != nil {
			return nil, err
		}
	}
	if len(t.constants) == 0 {
		return nil, fmt.Errorf("%s has no constants; run this in the root of the repository", dir)
	}
	return &t, nil
}

func (t *table) read(name string) error {
	path, err := filepath.Abs(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read constants: %w", err)
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	var consts []int
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		consts = append(consts, files.Position(group.TokPos).Offset)
		for _, s := range group.Specs {
			spec, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, value := range spec.Values {
				from, to := files.Position(value.Pos()).Offset, files.Position(value.End()).Offset
				c := constant{
					name: spec.Names[i].Name, text: string(source[from:to]),
					source: strings.TrimSpace(spec.Comment.Text()),
					group:  strings.TrimSuffix(strings.TrimSpace(group.Doc.Text()), "."),
				}
				if err := c.read(value); err != nil {
					return fmt.Errorf("%s: %s: %w", name, c.name, err)
				}
				t.constants = append(t.constants, c)
			}
		}
	}
	t.files, t.sources, t.consts = append(t.files, path), append(t.sources, source), append(t.consts, consts)
	return nil
}

var errNoNumber = errors.New("no number, or number times a unit of time")

// read takes in the value.
func (c *constant) read(e ast.Expr) error {
	switch v := e.(type) {
	case *ast.BasicLit:
		value, err := strconv.ParseFloat(strings.ReplaceAll(v.Value, "_", ""), 64)
		if err != nil || value <= 0 {
			return errNoNumber
		}
		c.value, c.whole = value, v.Kind == token.INT
		return nil
	case *ast.BinaryExpr:
		if v.Op != token.MUL {
			return errNoNumber
		}
		if err := c.read(v.X); err != nil {
			return err
		}
		return c.readUnit(v.Y)
	case *ast.SelectorExpr:
		c.value = 1
		return c.readUnit(v)
	default:
		return errNoNumber
	}
}

// readUnit takes in a unit of time.
func (c *constant) readUnit(e ast.Expr) error {
	unit, ok := e.(*ast.SelectorExpr)
	if !ok {
		return errNoNumber
	}
	c.unit = "time." + unit.Sel.Name
	return nil
}

// changed returns the constant times a factor. A share of more than a half is changed by its distance from 1: 0.9 and
// 30 % more is 0.93. It is not ok where a whole number would become 0.
func (c *constant) changed(factor float64) (value float64, ok bool) {
	value = c.value * factor
	switch {
	case c.unit == "" && c.whole:
		if value = math.Round(value); value == c.value {
			value = c.value + math.Copysign(1, factor-1)
		}
	case c.unit == "" && c.value > 0.5 && c.value < 1:
		value = 1 - (1-c.value)*(2-factor)
	}
	return value, value > 0
}

// variable names the environment variable that changes a constant, as NAME=VALUE.
const variable = "WAVRY_SWEEP"

// asVariables writes the constants as variables into a directory, and returns which file each takes the place of.
func (t *table) asVariables(dir string) (map[string]string, error) {
	replace := map[string]string{}
	for i, path := range t.files {
		source := append([]byte(nil), t.sources[i]...)
		for _, at := range slices.Backward(t.consts[i]) {
			source = append(source[:at:at], append([]byte("var"), source[at+len("const"):]...)...)
		}
		name := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(name, source, 0o600); err != nil {
			return nil, fmt.Errorf("write the constants as variables: %w", err)
		}
		replace[path] = name
	}
	var b strings.Builder
	b.WriteString("package tuning\n\nimport (\n\t\"os\"\n\t\"strconv\"\n\t\"strings\"\n\t\"time\"\n)\n\n")
	b.WriteString("var byName = map[string]any{\n")
	for _, c := range t.constants {
		pointer := "&" + c.name
		fmt.Fprintf(&b, "\t%q: %s,\n", c.name, pointer)
	}
	fmt.Fprintf(&b, `}

func init() {
	name, text, ok := strings.Cut(os.Getenv(%q), "=")
	if !ok {
		return
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	switch v := byName[name].(type) {
	case *float64:
		*v = value
	case *int:
		*v = int(value)
	case *time.Duration:
		*v = time.Duration(value)
	default:
		panic("no constant " + name)
	}
}
`, variable)
	name := filepath.Join(dir, "byname.go")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write the constants as variables: %w", err)
	}
	replace[filepath.Join(filepath.Dir(t.files[0]), "byname.go")] = name
	return replace, nil
}

// units are the units of time that constants are written in, in nanoseconds.
var units = map[string]float64{"time.Millisecond": 1e6, "time.Second": 1e9, "time.Minute": 6e10, "": 1}

// setting is the value of variable that gives the constant a value.
func (c *constant) setting(value float64) string {
	return c.name + "=" + strconv.FormatFloat(math.Round(value*units[c.unit]*1e6)/1e6, 'f', -1, 64)
}

// written is the value as the document has it.
func (c *constant) written() string {
	name, ok := map[string]string{"time.Millisecond": "ms", "time.Second": "s", "time.Minute": "min"}[c.unit]
	text := strconv.FormatFloat(c.value, 'f', -1, 64)
	if ok {
		text += " " + name
	}
	return text
}
