package rule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// conditions are all that can be asked.
var conditions = map[string]operator[func(args map[string]any) (bool, error)]{
	"eq":       {[]string{"values", "force_strings"}, 1, neighbours(func(a, b any) bool { return same(a, b) })},
	"lt":       {[]string{"values", "force_strings"}, 1, neighbours(func(a, b any) bool { return order(a, b) < 0 })},
	"gt":       {[]string{"values", "force_strings"}, 1, neighbours(func(a, b any) bool { return order(a, b) > 0 })},
	"is-empty": {[]string{"value"}, 0, about(empty)},
	"is-none":  {[]string{"value"}, 0, about(func(v any) bool { return v == nil })},
	"is-true":  {[]string{"value"}, 0, about(func(v any) bool { return truth(v, "yes", "true") })},
	"is-false": {[]string{"value"}, 0, about(func(v any) bool {
		return v == nil || v == false || v == 0.0 || slices.Contains([]string{"no", "false"}, strings.ToLower(text(v)))
	})},
	"one-of":   {[]string{"value", "values"}, 0, oneOf},
	"matches":  {[]string{"value", "regex"}, 0, pattern(`^(?:%s)$`)},
	"contains": {[]string{"value", "regex"}, 0, pattern(`%s`)},
	"in-net":   {[]string{"address", "subnet"}, 0, inNet},
}

func about(is func(v any) bool) func(args map[string]any) (bool, error) {
	return func(args map[string]any) (bool, error) { return is(args["value"]), nil }
}

// neighbours holds when each two values that follow each other are so.
func neighbours(are func(a, b any) bool) func(args map[string]any) (bool, error) {
	return func(args map[string]any) (bool, error) {
		values, ok := args["values"].([]any)
		if !ok || len(values) < 2 {
			return false, fault.Errorf(fault.Invalid, "values must be a list of two or more")
		}
		values = slices.Clone(values)
		for i, v := range values {
			if args["force_strings"] == true {
				values[i] = text(v)
			}
		}
		for i := range values[1:] {
			if !are(values[i], values[i+1]) {
				return false, nil
			}
		}
		return true, nil
	}
}

// same compares values; of different types, such as a number and what was written as a text, by their texts.
func same(a, b any) bool { return reflect.DeepEqual(a, b) || text(a) == text(b) }

// order compares numbers, or else texts.
func order(a, b any) int {
	x, xErr := strconv.ParseFloat(text(a), 64)
	y, yErr := strconv.ParseFloat(text(b), 64)
	if xErr == nil && yErr == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(text(a), text(b))
}

// text is a value as it stands within a text.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func truth(v any, words ...string) bool {
	switch v := v.(type) {
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return slices.Contains(words, strings.ToLower(v))
	}
	return false
}

func oneOf(args map[string]any) (bool, error) {
	values, ok := args["values"].([]any)
	if !ok {
		return false, fault.Errorf(fault.Invalid, "values must be a list")
	}
	return slices.ContainsFunc(values, func(v any) bool { return same(v, args["value"]) }), nil
}

func pattern(form string) func(args map[string]any) (bool, error) {
	return func(args map[string]any) (bool, error) {
		re, err := regexp.Compile(fmt.Sprintf(form, text(args["regex"])))
		if err != nil {
			return false, fault.E(fault.Invalid, "the regex can not be read", err)
		}
		return re.MatchString(text(args["value"])), nil
	}
}

func inNet(args map[string]any) (bool, error) {
	net, err := netip.ParsePrefix(text(args["subnet"]))
	if err != nil {
		return false, fault.Errorf(fault.Invalid, "%.60q is no subnet such as 10.0.0.0/8", text(args["subnet"]))
	}
	a, err := netip.ParseAddr(text(args["address"]))
	return err == nil && net.Contains(a.Unmap()), nil
}
