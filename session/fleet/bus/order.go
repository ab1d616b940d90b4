package bus

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// StreamOrders is the JetStream stream with the standing orders, and with what hosts have answered. SubjectOrders and
// SubjectResults match its subjects.
const (
	StreamOrders   = "WAVRY_ORDERS"
	SubjectOrders  = prefix + "order.*.*.*"
	SubjectResults = prefix + "result.*.*"
)

// SubjectOrder returns the subject of a standing order by a caller.
func SubjectOrder(c Caller, id string) string {
	return prefix + "order." + c.Role + "." + c.Name + "." + id
}

// SubjectResult returns the subject of what a host answers to a standing order. Either may be "*".
func SubjectResult(host, id string) string { return prefix + "result." + host + "." + id }

// headerUntil has the time of expiry.
const headerUntil = "Wavry-Until"

// MaxOrderAge bounds the time of a standing order.
const MaxOrderAge = 30 * 24 * time.Hour

// Order is a request of the control API to all hosts that its selector matches, at any time until it expires: also to
// hosts that are off when it is given.
type Order struct {
	Request
	Caller Caller
	Until  time.Time
}

// NewOrder returns the message of a standing order.
func NewOrder(r *http.Request, body []byte, s Selector, c Caller, until time.Time) (*nats.Msg, error) {
	if d := time.Until(until); d <= 0 || d > MaxOrderAge {
		return nil, fmt.Errorf("fleet: a standing order lasts up to %v, not %v", MaxOrderAge, d.Round(time.Second))
	}
	m, err := NewRequest(r, body, s)
	if err != nil {
		return nil, err
	}
	m.Header.Set(headerUntil, strconv.FormatInt(until.UnixMilli(), 10))
	m.Subject = SubjectOrder(c, m.Header.Get(headerRequest))
	return m, nil
}

// ParseOrder reads and checks a standing order.
func ParseOrder(m *nats.Msg) (Order, error) {
	parts := strings.Split(strings.TrimPrefix(m.Subject, prefix), ".")
	if len(parts) != 4 || parts[0] != "order" {
		return Order{}, fmt.Errorf("fleet: subject %.80q is not one of an order", m.Subject)
	}
	o := Order{Caller: Caller{parts[1], parts[2]}}
	if err := o.Caller.Validate(); err != nil {
		return Order{}, err
	}
	var err error
	if o.Request, err = ParseRequest(m); err != nil {
		return Order{}, err
	}
	ms, err := strconv.ParseInt(m.Header.Get(headerUntil), 10, 64)
	if o.Until = time.UnixMilli(ms); err != nil || o.Until.Sub(o.Time) > MaxOrderAge {
		return Order{}, fmt.Errorf("fleet: the order expires never, or after more than %v", MaxOrderAge)
	}
	if o.ID != parts[3] {
		return Order{}, errors.New("fleet: the order has two IDs")
	}
	if o.Method == http.MethodPost && o.Header.Get("Idempotency-Key") == "" {
		o.Header.Set("Idempotency-Key", o.ID)
	}
	return o, nil
}

// Result is what a host has answered to a standing order.
type Result struct {
	Host  string `json:"host"`
	Order string `json:"order"`
	Name  string `json:"name,omitempty"` // of the host
	// Status is that of HTTP, and Detail says why the host refused.
	Status int       `json:"status"`
	Detail string    `json:"detail,omitempty"`
	At     time.Time `json:"at"`
}

// Message returns the signed message of a result.
func (r Result) Message(i *Identity) (*nats.Msg, error) {
	r.Host = i.ID()
	subject := SubjectResult(r.Host, r.Order)
	m, err := message(i, subject, subject, r)
	if err != nil {
		return nil, err
	}
	m.Header.Set(headerKey, i.Public())
	return m, nil
}

// ParseResult reads and verifies a result.
func ParseResult(subject string, header nats.Header, data []byte) (Result, error) {
	var r Result
	if err := decode(data, maxRecord, &r); err != nil {
		return Result{}, err
	}
	key := header.Get(headerKey)
	if idOf(key) != r.Host || subject != SubjectResult(r.Host, r.Order) {
		return Result{}, ErrForged
	}
	return r, verify(key, subject, header.Get(headerSignature), data)
}
