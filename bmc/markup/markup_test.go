package markup

import "testing"

func TestParse(t *testing.T) {
	root, err := Parse([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?><a:R x="1" xmlns:a="u:a"><a:B Value=7>t` + "\xfc" + `r</a:B><C><b VALUE='2'/></C></a:R>`))
	if err != nil {
		t.Fatal(err)
	}
	if root.Name != "R" || root.Attr("X") != "1" || root.Value("b") != "tür" || len(root.All("B")) != 2 || root.Child("C").Find("B").Attr("value") != "2" {
		t.Errorf("%+v", root)
	}
	if root.Child("no").Find("x").Attr("y") != "" || root.Find("no").Value("z") != "" {
		t.Error("what is not there has something in it")
	}
	for _, bad := range []string{"", "<a>", "<a/><b/>", "text", "<a><b></a>"} {
		if e, err := Parse([]byte(bad)); err == nil && bad != "<a><b></a>" {
			t.Errorf("%q: %+v", bad, e)
		}
	}
	if got := Escape(`a"<&'b`); got != `a&#34;&lt;&amp;&#39;b` {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><R a=b><c/></R>`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if e, err := Parse(text); err == nil {
			e.Find("x")
			e.All("c")
		}
	})
}
