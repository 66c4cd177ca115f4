package snapshot

import (
	"reflect"
	"testing"

	"onset/core/cause"
	"onset/core/conf"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/expr"
	"onset/core/job"
)

// filled are values for the types that a filler cannot make up.
var filled = map[reflect.Type]any{
	reflect.TypeFor[control.Method]():     control.EmitEvent,
	reflect.TypeFor[control.ObjectKind](): control.Manager,
	reflect.TypeFor[*cause.Cause]():       &cause.Cause{Text: "why", Kind: cause.Exit, Depth: 1},
	reflect.TypeFor[*engine.Class]():      (*engine.Class)(nil),
	reflect.TypeFor[*job.Class]():         parsed(),
	reflect.TypeFor[*cause.History]():     history(),
	reflect.TypeFor[[]*engine.Instance](): []*engine.Instance{},
	reflect.TypeFor[[]*engine.Class]():    []*engine.Class{},
	reflect.TypeFor[expr.Node]():          expr.Node{Name: "a", Args: []string{"b"}},
}

func parsed() *job.Class {
	c, _ := conf.Parse("x", job.Origin{Path: "/x.conf", Text: "start on a\nexec x\n", OverridePath: "/x.override", OverrideText: "manual\n"}, options.Defaults())
	return c
}

func history() *cause.History {
	h := new(cause.History)
	h.Add(cause.Change{Action: cause.Ready, Instance: "i", Cause: &cause.Cause{Text: "why", Depth: 1, Person: &cause.Person{UID: 1, PID: 2, Command: "c"}}})
	return h
}

// fill gives every exported field below v a value that is not its zero.
func fillValue(v reflect.Value) {
	if x, ok := filled[v.Type()]; ok {
		v.Set(reflect.ValueOf(x))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillValue(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillValue(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fillValue(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fillValue(e)
		v.SetMapIndex(reflect.ValueOf("key"), e)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(1)
	default:
		v.SetInt(1)
	}
}

// roundTrip fills a T, visits it in both directions and compares.
func roundTrip[T any](t *testing.T, visit func(*codec, *T), prepare func(*T)) {
	t.Helper()
	var in, out T
	fillValue(reflect.ValueOf(&in).Elem())
	prepare(&out)
	w := &codec{version: version, defaults: options.Defaults()}
	w.words.ids = map[string]uint64{}
	visit(w, &in)
	r := &codec{reading: true, version: version, buf: w.buf, defaults: options.Defaults()}
	r.words.ids = map[string]uint64{}
	visit(r, &out)
	if r.err != nil || len(r.buf) > 0 {
		t.Errorf("%T: %v, %d bytes left", in, r.err, len(r.buf))
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("not every field of %T is kept:\n%+v\n%+v", in, in, out)
	}
}

func TestEveryFieldOfTheStateIsKept(t *testing.T) {
	roundTrip(t, (*codec).class, func(*engine.Class) {})
	roundTrip(t, (*codec).instance, func(j *engine.Instance) { j.Class, j.Session = parsed(), "text" })
	roundTrip(t, (*codec).state, func(*engine.State) {})
}

func TestEveryFieldOfEveryInputIsKept(t *testing.T) {
	w, r := &codec{version: version}, &codec{reading: true, version: version}
	var scratch [len(messages)]any
	for i, kind := range messages {
		if _, ok := kind.(reserved[engine.Msg]); ok {
			continue
		}
		v := reflect.New(reflect.TypeOf(zeroOf(kind)))
		fillValue(v.Elem())
		in := v.Elem().Interface().(engine.Msg)
		var out engine.Msg
		w.buf = nil
		variant(w, &in, messages[:], scratch[:])
		r.buf = w.buf
		variant(r, &out, messages[:], scratch[:])
		if r.err != nil || len(r.buf) > 0 || !reflect.DeepEqual(in, out) {
			t.Errorf("kind %d: %+v came back as %+v: %v", i, in, out, r.err)
		}
	}
}

// zeroOf returns the zero value of the type a row is for.
func zeroOf(k kind[engine.Msg]) any {
	for _, m := range []engine.Msg{engine.Loaded{}, engine.SourceLoaded{}, engine.FileChanged{}, engine.FileRemoved{}, engine.SourceRemoved{},
		engine.Tick{}, engine.Spawned{}, engine.SpawnFailed{}, engine.Executed{}, engine.ExecFailed{}, engine.Exited{}, engine.Stopped{},
		engine.Continued{}, engine.Replaced{}, engine.Called{}, engine.Hungup{}, engine.Done{}, engine.Told{}, engine.Emptied{}, engine.Ready{}, engine.Notified{}} {
		if k.is(m) {
			return m
		}
	}
	panic("a row of messages is not in the list of this test")
}
