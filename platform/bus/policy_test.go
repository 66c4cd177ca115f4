package bus

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"onset/core/control"
)

// open are the methods that the bus lets everybody call (UPSTART §6.7 part 1).
var open = []string{"Introspect", "Get", "GetAll", "GetJobByName", "GetAllJobs", "GetFacts", "GetProviders", "Why",
	"GetInstance", "GetInstanceByName", "GetAllInstances"}

// A bus with our policy lets root call every method and nobody else more
// than the open ones.
func TestPolicyOfTheSystemBus(t *testing.T) {
	daemon, send := program(t, "dbus-daemon"), program(t, "dbus-send")
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root to ask as somebody else")
	}
	policy, err := filepath.Abs("../../conf/dbus/Upstart.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	address, _ := runBus(t, daemon, dir, `<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
<allow send_destination="org.freedesktop.DBus"/></policy><include>`+policy+`</include>`)
	w := newWorld(t, nil)
	if err := w.join(address, nil); err != nil {
		t.Fatal(err)
	}
	for m := range control.Methods {
		spec := control.Method(m).Spec()
		member := spec.Interface + "." + spec.Name
		for _, uid := range []uint32{0, 65534} {
			cmd := exec.Command(send, "--bus="+address, "--print-reply", "--reply-timeout=5000", "--dest=com.ubuntu.Upstart", control.Root, member)
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
			out, _ := cmd.CombinedOutput()
			denied := strings.Contains(string(out), "Rejected send message")
			if want := uid != 0 && !slices.Contains(open, spec.Name); denied != want {
				t.Errorf("uid %d, %s: denied %v, want %v: %s", uid, member, denied, want, out)
			}
		}
	}
	uids := map[int]bool{}
	for _, a := range w.handled() {
		uids[a.UID] = true
	}
	if !uids[0] || !uids[65534] {
		t.Errorf("the engine heard of %v", uids)
	}
}
