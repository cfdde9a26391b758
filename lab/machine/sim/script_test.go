package sim

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestScripts(t *testing.T) {
	for _, try := range []struct {
		name, text string
		want       scriptEnd
		fetched    string
		fails      bool
	}{
		{"kernel", "kernel http://h/k a=${mac} b\ninitrd --name i http://h/i\nboot", scriptEnd{end: endBoot, args: []string{"a=02:01", "b"}}, "http://h/k http://h/i", false},
		{"to the disk on UEFI", "iseq ${platform} pcbios && sanboot --drive 0x80 ||\nexit 1", scriptEnd{end: endExit}, "", false},
		{"falls through", "echo hello", scriptEnd{end: endExit}, "", false},
		{"chain", "chain --autofree http://h/${mac}", scriptEnd{chain: "http://h/02:01"}, "", false},
		{"goto on failure", "kernel http://h/bad || goto no\nboot\n:no\nreboot", scriptEnd{end: endReboot}, "http://h/bad", false},
		{"failure ends it", "kernel http://h/bad\nboot", scriptEnd{}, "http://h/bad", true},
		{"failure ignored", "imgfetch http://h/bad ||\npoweroff", scriptEnd{end: endPowerOff}, "http://h/bad", false},
		{"and", "isset ${none} && reboot || poweroff", scriptEnd{end: endPowerOff}, "", false},
		{"unknown", "frobnicate", scriptEnd{}, "", true},
		{"circle", ":a\ngoto a", scriptEnd{}, "", true},
		{"set", "set u http://h/x\nimgfetch ${u}\nset v ${u}y\nchain ${v}", scriptEnd{chain: "http://h/xy"}, "http://h/x", false},
	} {
		t.Run(try.name, func(t *testing.T) {
			var fetched []string
			got, err := runScript("#!ipxe\n"+try.text, map[string]string{"mac": "02:01", "platform": "efi"}, func(url string) error {
				fetched = append(fetched, url)
				if strings.HasSuffix(url, "bad") {
					return errors.New("404")
				}
				return nil
			}, func(string) {})
			if (err != nil) != try.fails || got.end != try.want.end || got.chain != try.want.chain || !slices.Equal(got.args, try.want.args) {
				t.Errorf("%+v %v", got, err)
			}
			if f := strings.Join(fetched, " "); f != try.fetched {
				t.Errorf("fetched %s", f)
			}
		})
	}
	if _, err := runScript("MZ", nil, nil, nil); err == nil {
		t.Error("a binary passed as a script")
	}
}
