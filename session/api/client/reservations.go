package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Reservations reserves capacity for sessions.
type Reservations struct{ c *transport }

func reservationPath(id string) string { return "/v1/reservations/" + url.PathEscape(id) }

// Create reserves capacity for a session. A request with the same key returns the same reservation within ten minutes;
// an empty key stands for a new one.
func (s Reservations) Create(ctx context.Context, key string, in ReservationRequest) (out NewReservation, err error) {
	r := request{method: http.MethodPost, path: "/v1/reservations"}.with(in).keyed(key)
	_, _, err = s.c.call(ctx, r, &out)
	return out, err
}

// Page returns one page of the reservations, the next to expire first, and its ETag. token is the NextPageToken of the
// page before.
func (s Reservations) Page(ctx context.Context, f Filter, token string) (out ReservationList, etag string, err error) {
	etag, err = s.c.page(ctx, "/v1/reservations", f, token, &out)
	return out, etag, err
}

// All returns the reservations of all pages.
func (s Reservations) All(ctx context.Context, f Filter) iter.Seq2[Reservation, error] {
	return all(func(token string) ([]Reservation, string, error) {
		list, _, err := s.Page(ctx, f, token)
		return list.Reservations, list.NextPageToken, err
	})
}

// Get returns one reservation.
func (s Reservations) Get(ctx context.Context, id string) (out Reservation, err error) {
	_, _, err = s.c.call(ctx, get(reservationPath(id)), &out)
	return out, err
}

// Renew holds a reservation for that long from now on.
func (s Reservations) Renew(ctx context.Context, id string, hold time.Duration) (out Reservation, err error) {
	body := struct {
		HoldSeconds float64 `json:"hold_seconds"`
	}{hold.Seconds()}
	r := request{method: http.MethodPatch, path: reservationPath(id), repeats: true}.with(body)
	_, _, err = s.c.call(ctx, r, &out)
	return out, err
}

// Release gives a reservation back.
func (s Reservations) Release(ctx context.Context, id string) error {
	_, _, err := s.c.call(ctx, request{method: http.MethodDelete, path: reservationPath(id), repeats: true}, nil)
	return err
}
