package bus

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// Any stands for all pools, or all regions, in an Ask.
const Any = "any"

// unlabeled is the pool, or the region, of hosts without that label.
const unlabeled = "none"

// The labels of a host that placement uses.
const (
	LabelPool   = "pool"
	LabelRegion = "region"
)

const prefix = "wavry.v1."

// SubjectWho is the request for all records. SubjectBeats and SubjectRecords match the subjects of all hosts.
const (
	SubjectWho     = prefix + "who"
	SubjectBeats   = prefix + "beat.*"
	SubjectRecords = prefix + "record.*"
)

// SubjectBeat returns the subject of a host's heartbeats.
func SubjectBeat(id string) string { return prefix + "beat." + id }

// SubjectRecord returns the subject of a host's record.
func SubjectRecord(id string) string { return prefix + "record." + id }

// Shards is the number of shards of hosts. A question to one of them costs the NATS servers a fraction of one to all.
const Shards = 16

// ShardAll stands for all shards.
const ShardAll = "all"

// shardOf returns the shard of a host.
func shardOf(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return strconv.FormatUint(uint64(h.Sum32()%Shards), 10)
}

// SubjectAsk returns the subject of an Ask. Both names may be Any. shard is a number below Shards, or ShardAll.
func SubjectAsk(pool, region, shard string) string {
	return prefix + "ask." + token(pool) + "." + token(region) + "." + shard
}

// SubjectsAsked returns the subjects on which a host with these labels is asked.
func SubjectsAsked(id string, labels map[string]string) []string {
	var list []string
	for _, pool := range []string{labels[LabelPool], Any} {
		for _, region := range []string{labels[LabelRegion], Any} {
			list = append(list, SubjectAsk(pool, region, ShardAll), SubjectAsk(pool, region, shardOf(id)))
		}
	}
	return list
}

// SubjectAPI returns the subject of requests to a host by a caller.
func SubjectAPI(id string, c Caller) string {
	return prefix + "api." + id + "." + c.Role + "." + c.Name
}

// SubjectAll returns the subject of requests to several hosts by a caller.
func SubjectAll(c Caller) string { return prefix + "all." + c.Role + "." + c.Name }

// SubjectsServed returns the patterns of the requests that a host serves.
func SubjectsServed(id string) []string {
	return []string{prefix + "api." + id + ".*.*", prefix + "all.*.*"}
}

// Caller is who sends a request, as the NATS server has allowed it.
type Caller struct {
	// Role is a role of the control API. Name is the caller's name, for the audit log.
	Role, Name string
}

var callerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Validate returns an error that names what cannot be part of a subject.
func (c Caller) Validate() error {
	for _, part := range []string{c.Role, c.Name} {
		if !callerName.MatchString(part) {
			return fmt.Errorf("fleet: %.80q is not 1 to 64 letters, digits, dashes and underscores", part)
		}
	}
	return nil
}

// CallerOf returns the caller of a request by its subject, and whether it was sent to several hosts.
func CallerOf(subject string) (c Caller, all bool, err error) {
	rest, ok := strings.CutPrefix(subject, prefix)
	parts := strings.Split(rest, ".")
	switch {
	case ok && len(parts) == 4 && parts[0] == "api":
		c = Caller{parts[2], parts[3]}
	case ok && len(parts) == 3 && parts[0] == "all":
		c, all = Caller{parts[1], parts[2]}, true
	default:
		return c, false, fmt.Errorf("fleet: subject %.80q is not one of a request", subject)
	}
	return c, all, c.Validate()
}

// hostOf returns the host of the subject of a beat or a record.
func hostOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

var notToken = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// token returns a label's value as a part of a subject.
func token(value string) string {
	if value == "" {
		return unlabeled
	}
	return notToken.ReplaceAllString(value, "_")
}
