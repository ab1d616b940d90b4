package pipeline

import (
	"testing"

	"wavryhost/session/lockorder/lockordertest"
)

func TestMain(m *testing.M) { lockordertest.Main(m, "doc.go") }
