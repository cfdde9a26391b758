package backup

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// octets and instant are values that JSON has no form for.
type octets struct {
	Bytes string `json:"bytes"`
}

type instant struct {
	Time time.Time `json:"time"`
}

// portable turns a value as a database gave it into one that JSON can carry.
func portable(v any) any {
	switch v := v.(type) {
	case []byte:
		return octets{base64.StdEncoding.EncodeToString(v)}
	case time.Time:
		return instant{v.UTC()}
	}
	return v
}

// The forms in which SQLite keeps times.
var times = []string{"2006-01-02 15:04:05.999999999-07:00", time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999+00"}

// native turns what a line of a backup has into a value for a column.
func native(raw json.RawMessage, c db.Column) (any, error) {
	v, err := valueOf(raw, c)
	if err != nil {
		return nil, fault.E(fault.Invalid, "the backup is damaged: the column "+c.Name+" has no room for "+fmt.Sprintf("%.100s", raw), err)
	}
	return v, nil
}

func valueOf(raw json.RawMessage, c db.Column) (any, error) {
	text := string(raw)
	switch {
	case text == "null":
		return nil, nil
	case strings.HasPrefix(text, `{"bytes"`):
		var o octets
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(o.Bytes)
	case strings.HasPrefix(text, `{"time"`):
		var i instant
		err := json.Unmarshal(raw, &i)
		return i.Time, err
	}
	switch c.Kind {
	case db.Truth:
		return text == "true" || text == "1", nil
	case db.Number:
		if text == "true" || text == "false" {
			return map[string]int64{"true": 1}[text], nil
		}
		var n json.Number
		err := json.Unmarshal(raw, &n)
		if err != nil {
			return nil, err
		}
		return n.Int64()
	case db.Instant, db.Text, db.Octets:
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	switch c.Kind {
	case db.Octets:
		return []byte(s), nil
	case db.Instant:
		for _, form := range times {
			if t, err := time.Parse(form, s); err == nil {
				return t.UTC(), nil
			}
		}
		return nil, errors.New("it is no time")
	case db.Text, db.Number, db.Truth:
	}
	return s, nil
}
