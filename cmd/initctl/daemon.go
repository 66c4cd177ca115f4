package main

import (
	"onset/core/control"
)

// managerProperty prints a property of the manager.
func (t *tool) managerProperty(name string) error {
	text, err := ask[string](t, manager, control.PropertyGet, control.InterfaceManager, name)
	if err != nil {
		return err
	}
	t.print(text + "\n")
	return nil
}

func (t *tool) version([]string) error { return t.managerProperty("version") }

func (t *tool) logPriority(args []string) error {
	if len(args) == 0 {
		return t.managerProperty("log_priority")
	}
	return t.tell(manager, control.PropertySet, control.InterfaceManager, "log_priority", args[0])
}

func (t *tool) reloadConfiguration([]string) error {
	return t.tell(manager, control.ReloadConfiguration)
}

func (t *tool) notifyDisk([]string) error { return t.tell(manager, control.NotifyDiskWriteable) }

func (t *tool) notifyBus(args []string) error {
	return t.tell(manager, control.NotifyDBusAddress, args[0])
}

func (t *tool) notifyCGroups(args []string) error {
	return t.tell(manager, control.NotifyCGroupManagerAddress, args[0])
}
