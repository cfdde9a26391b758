package neutron

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// decode reads a client's attributes into a struct of pointers and optionals. The tags of its fields say how they are
// named (json), if they can be given when the thing is made only (on:"post"), and if by operators only (for:"operators").
func (k kind[T, B]) decode(r *api.Request, raw json.RawMessage, body *B) error {
	var given map[string]json.RawMessage
	if err := api.Redecode(raw, &given); err != nil || given == nil {
		return fault.Field(k.one, "the body must be an object %q with the attributes of one", k.one)
	}
	v := reflect.ValueOf(body).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("json")
		value, ok := given[name]
		if !ok {
			continue
		}
		delete(given, name)
		if f.Tag.Get("on") == "post" && r.Method != "POST" {
			return fault.Field(name, "Cannot update read-only attribute %s", name)
		}
		if f.Tag.Get("for") == "operators" && !r.Caller.Operator() {
			return fault.Errorf(fault.Denied, "only an operator may set %s", name)
		}
		if err := api.Redecode(value, v.Field(i).Addr().Interface()); err != nil {
			return fault.Field(name, "%s: %s", name, fault.Message(err))
		}
	}
	var unknown []string
	for name := range given {
		if slices.Contains(strings.Fields(k.readOnly), name) {
			return fault.Field(name, "Attribute '%s' not allowed in %s", name, r.Method)
		}
		unknown = append(unknown, name)
	}
	return unrecognized(unknown)
}

func unrecognized(names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fault.Field(names[0], "Unrecognized attribute(s) '%s'", strings.Join(names, ", "))
}

// only refuses a document that has more than the given members, or none of them.
func only(doc map[string]json.RawMessage, names ...string) error {
	var unknown []string
	for name := range doc {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	if len(doc) == 0 {
		return fault.Field(names[0], "the body needs an object %q", names[0])
	}
	return unrecognized(unknown)
}

// optional is an attribute that may be absent, null or a value.
type optional[T any] struct {
	given bool
	value *T
}

// UnmarshalJSON notes that the attribute is there.
func (o *optional[T]) UnmarshalJSON(raw []byte) error {
	o.given = true
	return json.Unmarshal(raw, &o.value)
}

// into sets dst when the attribute is there; null is the zero value.
func (o optional[T]) into(dst *T) {
	if o.given {
		var zero T
		*dst = zero
		api.Set(dst, o.value)
	}
}

// integer is a number, which some clients send as a text.
type integer int

// UnmarshalJSON reads either.
func (i *integer) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = []byte(text)
	}
	return json.Unmarshal(raw, (*int)(i))
}

// tagsBody is ECL2.0's object of tags or OpenStack's list of them.
type tagsBody struct {
	given  bool
	object map[string]string
	list   network.Labels
	isList bool
}

// UnmarshalJSON tells the two apart.
func (t *tagsBody) UnmarshalJSON(raw []byte) error {
	t.given = true
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "[") {
		t.isList = true
		return json.Unmarshal(raw, &t.list)
	}
	return json.Unmarshal(raw, &t.object)
}

// into sets the tags of a thing of the kind that was given.
func (t tagsBody) into(tags *map[string]string, labels *network.Labels) error {
	if !t.given {
		return nil
	}
	if !t.isList {
		*tags = t.object
		return nil
	}
	var err error
	*labels, err = network.NewLabels(t.list)
	return err
}

// tags shows a thing's tags: OpenStack's list, ECL2.0's object, or null when it has none, which both sides' clients read.
func tags(object map[string]string, list network.Labels) any {
	switch {
	case len(list) > 0:
		return list
	case len(object) > 0:
		return object
	}
	return nil
}
