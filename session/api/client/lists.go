package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Filter says which items a list has. An item meets all fields that are set.
type Filter struct {
	Owner, Display, ExternalID string
	State                      SessionState // of sessions only
	Labels                     map[string]string
	// Fields reduces items to these fields and the ID.
	Fields []string
	// PageSize is the number of items of a page. It defaults to 100.
	PageSize int
	// ETag is that of an earlier answer to the same question. If nothing has changed, the answer is ErrUnchanged.
	ETag string
}

// ErrUnchanged means that nothing has changed since the answer with the ETag of the filter.
const ErrUnchanged = unchanged("client: nothing has changed")

type unchanged string

func (e unchanged) Error() string { return string(e) }

// page asks for one page of a list and returns its ETag.
func (c *transport) page(ctx context.Context, path string, f Filter, token string, out any) (etag string, err error) {
	r := get(path)
	r.query = url.Values{}
	for name, value := range map[string]string{
		"owner": f.Owner, "display": f.Display, "external_id": f.ExternalID, "state": string(f.State),
		"fields": strings.Join(f.Fields, ","), "page_token": token,
	} {
		if value != "" {
			r.query.Set(name, value)
		}
	}
	if f.PageSize != 0 {
		r.query.Set("page_size", strconv.Itoa(f.PageSize))
	}
	for name, value := range f.Labels {
		r.query.Add("label", name+"="+value)
	}
	if f.ETag != "" {
		r.header = http.Header{"If-None-Match": {f.ETag}}
	}
	h, same, err := c.call(ctx, r, out)
	if err != nil {
		return "", err
	}
	if same {
		return f.ETag, ErrUnchanged
	}
	return h.Get("ETag"), nil
}

// all iterates over the items of all pages.
func all[T any](page func(token string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			items, next, err := page(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, one := range items {
				if !yield(one, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}
