package bus

import "time"

// Permissions are the subjects that the NATS server must allow a user. docs/operate/fleet.md has them for operators.
type Permissions struct {
	Publish, Subscribe []string
	// Answers and AnswerTime bound the replies to a received message ("allow_responses").
	Answers    int
	AnswerTime time.Duration
}

// The subjects of JetStream.
const (
	apiStream   = "$JS.API.STREAM."
	apiConsumer = "$JS.API.CONSUMER."
)

// HostPermissions returns the permissions of a host.
func HostPermissions(id string) Permissions {
	return Permissions{
		Publish: []string{
			SubjectBeat(id), SubjectRecord(id), SubjectEvent(id, "*"), SubjectResult(id, "*"),
			apiStream + "INFO." + StreamOrders, apiStream + "MSG.GET." + StreamOrders,
		},
		Subscribe: []string{
			SubjectWho, SubjectBeat(id), prefix + "ask.*.*.*", prefix + "api." + id + ".*.*", prefix + "all.*.*",
			SubjectOrders, "_INBOX_" + id + ".>",
		},
		Answers: MaxAnswer/partSize + 1, AnswerTime: time.Minute,
	}
}

// ClientPermissions returns the permissions of a gateway or an operator.
func ClientPermissions(c Caller) Permissions {
	return Permissions{
		Publish: []string{
			SubjectWho, prefix + "ask.*.*.*", prefix + "api.*." + c.Role + "." + c.Name, SubjectAll(c),
			apiStream + "INFO." + StreamEvents, apiConsumer + "CREATE." + StreamEvents + ".>",
			apiConsumer + "MSG.NEXT." + StreamEvents + ".>", apiConsumer + "DELETE." + StreamEvents + ".>",
			SubjectOrder(c, "*"), apiStream + "INFO." + StreamOrders, apiConsumer + "CREATE." + StreamOrders + ".>",
			apiConsumer + "MSG.NEXT." + StreamOrders + ".>", apiConsumer + "DELETE." + StreamOrders + ".>",
		},
		Subscribe: []string{SubjectBeats, SubjectRecords, SubjectResults, "_INBOX_" + c.Name + ".>"},
	}
}
