package child

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes this process the parent of its orphaned descendants. Without it, a program that a desktop's program left
// in the background would belong to the first process of the system, and outlive the desktop.
func Adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// orphanPause is the pause between looks for descendants that have ended.
const orphanPause = 20 * time.Millisecond

// EndDescendants ends all descendants of this process, politely at first, and returns how many it had
// to end. It must be called after all children of Start have ended.
func EndDescendants() int {
	ended := make(map[int]bool)
	for begun := time.Now(); ; time.Sleep(orphanPause) {
		var status syscall.WaitStatus
		for {
			if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
		left := descendants(os.Getpid())
		if len(left) == 0 {
			return len(ended)
		}
		endEach(left, ended, time.Since(begun))
	}
}

// EndWith ends the descendants of this process that have an entry such as "NAME=value" in their environment, politely
// at first, and returns how many it had to end.
func EndWith(entry string) int {
	ended := make(map[int]bool)
	for begun := time.Now(); ; time.Sleep(orphanPause) {
		left := slices.DeleteFunc(descendants(os.Getpid()), func(pid int) bool {
			environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // empty once the process has ended
			return !slices.Contains(strings.Split(string(environ), "\x00"), entry)
		})
		if len(left) == 0 {
			return len(ended)
		}
		endEach(left, ended, time.Since(begun))
	}
}

// endEach ends processes politely, and kills them if they take too long. ended has the processes that were signaled.
func endEach(processes []int, ended map[int]bool, took time.Duration) {
	signal := syscall.SIGTERM
	if took > stopTime {
		signal = syscall.SIGKILL
	}
	for _, pid := range processes {
		if !ended[pid] || signal == syscall.SIGKILL {
			_ = syscall.Kill(pid, signal)
		}
		ended[pid] = true
	}
}

// ReapOrphans waits for adopted descendants that have ended. The caller calls it now and then, with the result of its
// previous call. A process counts as an orphan if it has waited for its parent in two calls: the children of Start are
// waited for at once.
func ReapOrphans(before []int) (waiting []int) {
	for _, pid := range children(os.Getpid()) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, state, _ := strings.Cut(string(stat), ") "); err != nil || !strings.HasPrefix(state, "Z") {
			continue
		}
		for _, one := range before {
			if one == pid {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
		waiting = append(waiting, pid)
	}
	return waiting
}

// descendants returns the descendants of a process.
func descendants(pid int) (all []int) {
	for _, child := range children(pid) {
		all = append(all, child)
		all = append(all, descendants(child)...)
	}
	return all
}

// children returns the children of a process.
func children(pid int) (all []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is good
	for _, file := range files {
		data, _ := os.ReadFile(file) // the thread may have ended
		for field := range strings.FieldsSeq(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}
