package scci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// eLCM's paths.
const (
	profiles = "/rest/v1/Oem/eLCM/ProfileManagement/"
	sessions = "/rest/v1/Oem/eLCM/sessionInformation/"
	biosPath = "Server/SystemConfig/BiosConfig"
	bios     = "BiosConfig"
)

// longest is how long a session of eLCM may take, with the server's restarts in it.
const longest = 30 * time.Minute

// ask sends a request to eLCM and decodes its answer.
func (d *driver) ask(ctx context.Context, method, path string, read bool, body []byte, into any) error {
	a, err := d.do(ctx, wire.Request{Method: method, Path: path, Read: read, Patience: wire.Transfer, Body: body,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}})
	if err != nil {
		return err
	}
	if a.Status == http.StatusForbidden || a.Status == http.StatusPaymentRequired {
		return bmc.Fail(bmc.Failure{Class: bmc.Licence, Code: fmt.Sprintf("HTTP %d", a.Status)}, "the iRMC refuses eLCM; it needs an eLCM licence, and an SD card in older servers")
	}
	if err := status("eLCM "+method+" "+path, a.Status); err != nil {
		return err
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(document(a.Body), into); err != nil {
		return bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: err}, "eLCM's answer can not be read")
	}
	return nil
}

// document cuts off what stands before the JSON: iRMCs put further header lines into the body.
func document(body []byte) []byte {
	if i := bytes.IndexAny(body, "{["); i > 0 {
		return body[i:]
	}
	return body
}

// elcm reports whether eLCM is there.
func (d *driver) elcm(ctx context.Context) error {
	return d.ask(ctx, http.MethodGet, profiles, true, nil, nil)
}

// session is eLCM's answer that work has begun.
type session struct {
	Session struct {
		ID     json.Number `json:"Id"`
		Status string      `json:"Status"`
	} `json:"Session"`
}

// run begins a session, follows it to its end, and removes it. The server is powered off by it, and is put back as it was.
func (d *driver) run(ctx context.Context, what, path string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	before, err := d.Power(ctx)
	if err != nil {
		return err
	}
	if before != bmc.Off {
		return bmc.Fail(bmc.Failure{Class: bmc.Busy}, "%s restarts the server; power it off first", what)
	}
	var s session
	if err := d.ask(ctx, http.MethodPost, profiles+path, false, body, &s); err != nil {
		return err
	}
	id := s.Session.ID.String()
	end := d.follow(ctx, what, id)
	if err := d.ask(ctx, http.MethodDelete, sessions+id+"/remove", false, nil, nil); err != nil && end == nil {
		end = err
	}
	after, err := d.Power(ctx)
	if err == nil && after == bmc.On {
		err = d.SetPower(ctx, bmc.PowerOff)
	}
	if end == nil {
		end = err
	}
	return end
}

// follow waits for a session's end. One that does not end in time is terminated; only then it can be removed.
func (d *driver) follow(ctx context.Context, what, id string) error {
	for {
		var s session
		err := d.ask(ctx, http.MethodGet, sessions+id+"/status", true, nil, &s)
		if err != nil && !bmc.Passing(err) {
			return err
		}
		if err == nil {
			switch word := strings.ToLower(s.Session.Status); {
			case word == "terminated regularly":
				return nil
			case strings.HasPrefix(word, "terminated"), strings.Contains(word, "error"):
				return bmc.Fail(bmc.Failure{Class: bmc.Broken, Code: s.Session.Status}, "%s ended badly: %s", what, d.log(ctx, id))
			}
		}
		if err := wait(ctx, d.pace.Look); err != nil {
			over, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			_ = d.ask(over, http.MethodDelete, sessions+id+"/terminate", false, nil, nil) // it may have ended just now
			return err
		}
	}
}

// log returns what a session wrote, in one line.
func (d *driver) log(ctx context.Context, id string) string {
	var raw json.RawMessage
	if err := d.ask(ctx, http.MethodGet, sessions+id+"/log", true, nil, &raw); err != nil {
		return "its log can not be read"
	}
	const most = 500
	text := strings.Join(strings.Fields(string(raw)), " ")
	return text[:min(len(text), most)]
}

// backup lets eLCM read the BIOS's settings, and returns them. An older profile would be given in their place, so it goes first.
func (d *driver) backup(ctx context.Context) (map[string]any, error) {
	if err := d.forget(ctx); err != nil {
		return nil, err
	}
	if err := d.run(ctx, "reading the BIOS settings", "get?PARAM_PATH="+biosPath, nil); err != nil {
		return nil, err
	}
	var p struct {
		Server struct {
			SystemConfig map[string]map[string]any
		}
	}
	if err := d.ask(ctx, http.MethodGet, profiles+bios, true, nil, &p); err != nil {
		return nil, err
	}
	if p.Server.SystemConfig[bios] == nil {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "eLCM's profile holds no BIOS settings")
	}
	return p.Server.SystemConfig[bios], nil
}

func (d *driver) forget(ctx context.Context) error {
	err := d.ask(ctx, http.MethodDelete, profiles+bios, false, nil, nil)
	if bmc.ClassOf(err) == bmc.Unsupported {
		return nil // there is none
	}
	return err
}

// Settings reads the BIOS settings of a server that is off. Names are paths in eLCM's profile.
func (d *driver) Settings(ctx context.Context) ([]bmc.Setting, error) {
	tree, err := d.backup(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Setting
	var walk func(tree map[string]any, path string)
	walk = func(tree map[string]any, path string) {
		for name, v := range tree {
			if strings.HasPrefix(name, "@") {
				continue
			}
			if inner, ok := v.(map[string]any); ok {
				walk(inner, path+name+"/")
				continue
			}
			s := bmc.Setting{Name: path + name, NeedsReboot: true}
			switch v := v.(type) {
			case string:
				s.Value, s.Type = v, "string"
			case bool:
				s.Value, s.Type = v, "boolean"
			case float64:
				s.Value, s.Type = int64(v), "integer"
			default:
				continue // lists are no settings of one value
			}
			out = append(out, s)
		}
	}
	walk(tree, "")
	slices.SortFunc(out, func(a, b bmc.Setting) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// SetSettings changes settings of a server that is off, and reads them back.
func (d *driver) SetSettings(ctx context.Context, values map[string]any) error {
	now, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	change := map[string]any{}
	for name, v := range values {
		i := slices.IndexFunc(now, func(s bmc.Setting) bool { return s.Name == name })
		if i < 0 {
			return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the BIOS has no setting %q", name)
		}
		if now[i].Value == v {
			continue
		}
		if fmt.Sprintf("%T", now[i].Value) != fmt.Sprintf("%T", v) {
			return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the setting %s takes a %s", name, now[i].Type)
		}
		at := change
		path := strings.Split(name, "/")
		for _, step := range path[:len(path)-1] {
			inner, ok := at[step].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[step] = inner
			}
			at = inner
		}
		at[path[len(path)-1]] = v
	}
	if len(change) == 0 {
		return nil
	}
	change["@Processing"] = "execute"
	body, err := json.Marshal(map[string]any{"Server": map[string]any{"SystemConfig": map[string]any{bios: change}}})
	if err != nil {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused, Err: err}, "the values can not be written")
	}
	if err := d.run(ctx, "changing the BIOS settings", "set", body); err != nil {
		return err
	}
	now, err = d.Settings(ctx)
	if err != nil {
		return err
	}
	for _, s := range now {
		if v, ok := values[s.Name]; ok && v != s.Value {
			return bmc.Fail(bmc.Failure{Class: bmc.Untrue}, "eLCM ended well, but the setting %s is %v", s.Name, s.Value)
		}
	}
	return nil
}

// ResetSettings is not possible.
func (d *driver) ResetSettings(context.Context) error {
	return bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "eLCM does not put back the factory's BIOS settings; set a baseline instead")
}

// DropPending has nothing to do: eLCM's changes are in force when they end.
func (d *driver) DropPending(context.Context) error { return nil }
