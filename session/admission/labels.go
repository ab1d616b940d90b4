package admission

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ErrBadLabels means that labels are not valid.
var ErrBadLabels = errors.New("admission: labels are not valid")

// maxLabels bounds the labels of one session or reservation.
const maxLabels = 16

var (
	labelName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]{0,62}$`)
	labelValue = regexp.MustCompile(`^[A-Za-z0-9._/-]{0,128}$`)
)

// Labels are names with values that a client gives a session or a reservation, such as team=cad. Equal labels are equal
// as values. The zero value has none.
type Labels struct{ text string } // name=value, sorted and separated by commas

// ParseLabels makes Labels of a map.
func ParseLabels(all map[string]string) (Labels, error) {
	if len(all) > maxLabels {
		return Labels{}, fmt.Errorf("%w: there are %d; the limit is %d", ErrBadLabels, len(all), maxLabels)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !labelName.MatchString(name) || !labelValue.MatchString(all[name]) {
			return Labels{}, fmt.Errorf("%w: %.70q: names have up to 63, values up to 128 letters, digits, dots, dashes, "+
				"underscores and slashes, and a name begins with a letter", ErrBadLabels, name+"="+all[name])
		}
		list = append(list, name+"="+all[name])
	}
	return Labels{strings.Join(list, ",")}, nil
}

// Map returns the labels by name; nil for none.
func (l Labels) Map() map[string]string {
	if l.text == "" {
		return nil
	}
	all := make(map[string]string)
	for one := range strings.SplitSeq(l.text, ",") {
		name, value, _ := strings.Cut(one, "=")
		all[name] = value
	}
	return all
}
