package image_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// serviceOn makes a service on a database, with options that fn sets.
func serviceOn(t *testing.T, d *db.DB, fn func(*image.Options)) *image.Service {
	t.Helper()
	o := image.Options{DB: d, Dir: t.TempDir()}
	if fn != nil {
		fn(&o)
	}
	s, err := image.NewService(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// made creates an image of the project p that differs from a plain one by what fn sets.
func made(t *testing.T, s *image.Service, fn func(*image.Image)) image.Image {
	t.Helper()
	i := image.Image{Name: "i", Owner: "p", DiskFormat: "raw", ContainerFormat: "bare", Visibility: image.Private}
	if fn != nil {
		fn(&i)
	}
	i, err := s.Create(t.Context(), "", i)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// names lists the names of what a query selects.
func names(t *testing.T, s *image.Service, w image.Query) []string {
	t.Helper()
	if w.Members == "" {
		w.Members = image.Accepted
	}
	if w.Limit == 0 {
		w.Limit = 100
	}
	found, err := s.List(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, i := range found {
		out = append(out, i.Name)
	}
	slices.Sort(out)
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func refused(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: %v, want %s", what, err, kind)
	}
}

// TestVisibility looks at images of every visibility as their project, as others and as an operator.
func TestVisibility(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serviceOn(t, d, nil)
		ids := map[string]string{}
		for _, v := range image.Visibilities {
			ids[v] = made(t, s, func(i *image.Image) { i.Name, i.Visibility = v, v }).ID
		}
		made(t, s, func(i *image.Image) { i.Name, i.Visibility, i.Hidden = "hidden", image.Public, true })
		same(t, "its own", names(t, s, image.Query{Project: "p"}), "community", "private", "public", "shared")
		same(t, "another's", names(t, s, image.Query{Project: "q"}), "public")
		same(t, "another's community ones", names(t, s, image.Query{Project: "q", Visibility: image.Community}), "community")
		same(t, "all of another", names(t, s, image.Query{Project: "q", Visibility: "all"}), "community", "public")
		same(t, "hidden ones", names(t, s, image.Query{Project: "q", Hidden: true}), "hidden")
		same(t, "an operator's", names(t, s, image.Query{Project: "q", All: true}), "private", "public", "shared")
		for _, v := range image.Visibilities {
			_, err := s.Get(t.Context(), "q", ids[v])
			if may := v == image.Public || v == image.Community; may != (err == nil) || !may && !fault.Is(err, fault.NotFound) {
				t.Errorf("another project reads one that is %s: %v", v, err)
			}
		}
		_, err := s.Update(t.Context(), "q", ids[image.Public], func(i *image.Image) error { i.Name = "mine"; return nil })
		refused(t, "changing another's public image", err, fault.Denied)
		refused(t, "deleting another's public image", s.Delete(t.Context(), "q", ids[image.Public]), fault.Denied)
		refused(t, "deleting another's private image", s.Delete(t.Context(), "q", ids[image.Private]), fault.NotFound)
		for _, v := range image.Visibilities {
			_, err := s.Update(t.Context(), "p", ids[image.Private], func(i *image.Image) error { i.Visibility = v; return nil })
			if may := v != image.Public; may != (err == nil) || !may && !fault.Is(err, fault.Denied) {
				t.Errorf("a tenant makes its image %s: %v", v, err)
			}
		}
		_, err = s.Update(t.Context(), "p", ids[image.Private], func(i *image.Image) error { i.Owner = "q"; return nil })
		refused(t, "giving an image away", err, fault.Denied)
		_, err = s.Create(t.Context(), "p", image.Image{Owner: "q", Visibility: image.Private})
		refused(t, "making an image for another project", err, fault.Denied)
		_, err = s.Create(t.Context(), "p", image.Image{Owner: "p", Visibility: image.Public})
		refused(t, "making a public image", err, fault.Denied)
	})
}

// TestMembers shares an image, and looks at who sees what.
func TestMembers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serviceOn(t, d, nil)
		i := made(t, s, func(i *image.Image) { i.Visibility = image.Shared })
		private := made(t, s, nil)
		_, err := s.AddMember(t.Context(), "p", private.ID, "q")
		refused(t, "a member of a private image", err, fault.Denied)
		_, err = s.AddMember(t.Context(), "q", i.ID, "q")
		refused(t, "a member by another project", err, fault.NotFound)
		for _, m := range []string{"q", "r"} {
			if got, err := s.AddMember(t.Context(), "p", i.ID, m); err != nil || got.Status != image.Pending {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		_, err = s.AddMember(t.Context(), "p", i.ID, "q")
		refused(t, "the same member again", err, fault.Conflict)
		if _, err := s.Get(t.Context(), "q", i.ID); err != nil {
			t.Errorf("a member can not use the image: %v", err)
		}
		same(t, "before it accepts", names(t, s, image.Query{Project: "q"}))
		same(t, "pending", names(t, s, image.Query{Project: "q", Members: image.Pending}), "i")
		for project, want := range map[string]int{"p": 2, "": 2, "q": 1} {
			if ms, err := s.Members(t.Context(), project, i.ID); err != nil || len(ms) != want {
				t.Errorf("%q sees the members %+v, %v; want %d", project, ms, err, want)
			}
		}
		_, err = s.Members(t.Context(), "x", i.ID)
		refused(t, "a stranger's look at members", err, fault.NotFound)
		_, err = s.Member(t.Context(), "q", i.ID, "r")
		refused(t, "a member's look at another", err, fault.NotFound)
		_, err = s.SetMember(t.Context(), "p", i.ID, "q", image.Accepted)
		refused(t, "accepting for another", err, fault.Denied)
		_, err = s.SetMember(t.Context(), "q", i.ID, "q", "perhaps")
		refused(t, "an unknown status", err, fault.Invalid)
		if _, err := s.SetMember(t.Context(), "q", i.ID, "q", image.Accepted); err != nil {
			t.Fatal(err)
		}
		same(t, "accepted", names(t, s, image.Query{Project: "q"}), "i")
		if _, err := s.SetMember(t.Context(), "q", i.ID, "q", image.Rejected); err != nil {
			t.Fatal(err)
		}
		same(t, "rejected", names(t, s, image.Query{Project: "q"}))
		same(t, "of any status", names(t, s, image.Query{Project: "q", Members: "all"}), "i")
		refused(t, "a member that removes itself", s.RemoveMember(t.Context(), "q", i.ID, "q"), fault.Denied)
		if err := s.RemoveMember(t.Context(), "p", i.ID, "q"); err != nil {
			t.Fatal(err)
		}
		_, err = s.Get(t.Context(), "q", i.ID)
		refused(t, "what was shared once", err, fault.NotFound)
		for n := range image.MaxWords - 1 {
			if _, err := s.AddMember(t.Context(), "p", i.ID, "m"+string(rune('0'+n))); err != nil {
				t.Fatal(err)
			}
		}
		_, err = s.AddMember(t.Context(), "p", i.ID, "one too many")
		refused(t, "one member too many", err, fault.TooLarge)
	})
}

// TestLimits brings projects to each of their limits.
func TestLimits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		limits := map[string]int64{}
		s := serviceOn(t, d, func(o *image.Options) {
			o.Limits = func(context.Context, string) (map[string]int64, error) { return limits, nil }
		})
		limits[image.CountTotal] = 3
		a, b, c := made(t, s, nil), made(t, s, nil), made(t, s, nil)
		_, err := s.Create(t.Context(), "p", image.Image{Owner: "p", Visibility: image.Private})
		refused(t, "an image too many", err, fault.TooLarge)
		if _, err := s.Create(t.Context(), "q", image.Image{Owner: "q", Visibility: image.Private}); err != nil {
			t.Errorf("another project's image: %v", err)
		}

		limits[image.SizeTotal], limits[image.StageTotal] = 4, 2
		if err := s.Upload(t.Context(), "p", a.ID, bytes.NewReader(sample())); err != nil { // 3 MiB
			t.Fatal(err)
		}
		refused(t, "more data than there is room for", s.Upload(t.Context(), "p", b.ID, bytes.NewReader(sample())), fault.TooLarge)
		refused(t, "more staged than there is room for", s.Stage(t.Context(), "p", b.ID, bytes.NewReader(sample())), fault.TooLarge)
		if got, err := s.Get(t.Context(), "p", b.ID); err != nil || got.Status != image.Queued {
			t.Errorf("the image is %s (%v)", got.Status, err)
		}
		if err := s.Stage(t.Context(), "p", b.ID, bytes.NewReader(sample()[:1<<20])); err != nil {
			t.Fatal(err)
		}
		use, err := s.Usage(t.Context(), "p")
		if err != nil || use[image.SizeTotal] != (image.Usage{Limit: 4, Used: 3}) || use[image.StageTotal] != (image.Usage{Limit: 2, Used: 1}) ||
			use[image.CountTotal] != (image.Usage{Limit: 3, Used: 3}) || use[image.CountUploading] != (image.Usage{Limit: image.Unlimited, Used: 1}) {
			t.Errorf("usage %+v, %v", use, err)
		}
		limits[image.CountUploading] = 1
		refused(t, "an upload beside another one", s.Upload(t.Context(), "p", c.ID, bytes.NewReader(sample()[:9])), fault.TooLarge)
		limits[image.SizeTotal] = 3
		limits[image.CountUploading] = 9
		refused(t, "an upload without room", s.Upload(t.Context(), "p", c.ID, bytes.NewReader(sample()[:9])), fault.TooLarge)
	})
}

// TestTwoUploadsShareWhatIsLeft ends two uploads that each fit, but not both.
func TestTwoUploadsShareWhatIsLeft(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serviceOn(t, d, func(o *image.Options) {
			o.Limits = func(context.Context, string) (map[string]int64, error) {
				return map[string]int64{image.SizeTotal: 4}, nil
			}
		})
		errs := make(chan error, 2)
		for n := range 2 {
			i := made(t, s, nil)
			data := sample()
			data[0] = byte(n + 1)
			go func() { errs <- s.Upload(t.Context(), "p", i.ID, bytes.NewReader(data)) }()
		}
		good, bad := 0, 0
		for range 2 {
			if err := <-errs; err == nil {
				good++
			} else if fault.Is(err, fault.TooLarge) {
				bad++
			} else {
				t.Error(err)
			}
		}
		if good != 1 || bad != 1 {
			t.Errorf("%d uploads fit and %d do not, want one each", good, bad)
		}
	})
}

// TestListInSQL filters, sorts and pages.
func TestListInSQL(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serviceOn(t, d, nil)
		made(t, s, func(i *image.Image) { i.Name, i.Tags, i.MinDisk = "a", image.Tags{"red", `q"uote`}, 3 })
		made(t, s, func(i *image.Image) {
			i.Name, i.Tags, i.Properties = "b", image.Tags{"red", "green", "x,y"}, image.Properties{"os": "linux", "we<ird": `"}`}
		})
		last := made(t, s, func(i *image.Image) {
			i.Name, i.DiskFormat, i.Properties, i.Protected = "c", "iso", image.Properties{"os": "linuxes", "note": `","os":"linux`}, true
		})
		q := func(fn func(*image.Query)) image.Query {
			w := image.Query{Project: "p"}
			fn(&w)
			return w
		}
		same(t, "a tag", names(t, s, q(func(w *image.Query) { w.Tags = []string{"red"} })), "a", "b")
		same(t, "two tags", names(t, s, q(func(w *image.Query) { w.Tags = []string{"red", "green"} })), "b")
		same(t, "a part of a tag", names(t, s, q(func(w *image.Query) { w.Tags = []string{"re"} })))
		same(t, "the end of a tag with a quotation mark", names(t, s, q(func(w *image.Query) { w.Tags = []string{"uote"} })))
		same(t, "a tag with a quotation mark", names(t, s, q(func(w *image.Query) { w.Tags = []string{`q"uote`} })), "a")
		same(t, "a tag with a comma", names(t, s, q(func(w *image.Query) { w.Tags = []string{"x,y"} })), "b")
		same(t, "a property", names(t, s, q(func(w *image.Query) { w.Properties = map[string]string{"os": "linux"} })), "b")
		same(t, "a weird property", names(t, s, q(func(w *image.Query) { w.Properties = map[string]string{"we<ird": `"}`} })), "b")
		same(t, "formats", names(t, s, q(func(w *image.Query) { w.Where = map[string][]string{"disk_format": {"iso", "qcow2"}} })), "c")
		same(t, "a number", names(t, s, q(func(w *image.Query) { w.Numbers = map[string]int64{"min_disk": 3} })), "a")
		yes := true
		same(t, "protected", names(t, s, q(func(w *image.Query) { w.Protected = &yes })), "c")
		for compare, want := range map[string]bool{"gt": false, "gte": true, "lt": false, "lte": true, "eq": true, "neq": false} {
			got := names(t, s, q(func(w *image.Query) {
				w.Times = []image.Time{{Column: "created_at", Compare: compare, At: last.CreatedAt.Truncate(time.Second)}}
				w.Where = map[string][]string{"id": {last.ID}}
			}))
			if (len(got) == 1) != want {
				t.Errorf("%s its own second: %v", compare, got)
			}
		}
		var pages []string
		w := image.Query{Project: "p", Members: image.Accepted, Limit: 1, Sort: []image.Order{{By: "disk_format"}, {By: "name", Descending: true}}}
		for {
			page, err := s.List(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			pages, w.After = append(pages, page[0].Name), page[0].ID
		}
		same(t, "pages of one", pages, "c", "b", "a")
		w.After = "00000000-0000-0000-0000-000000000000"
		_, err := s.List(t.Context(), w)
		refused(t, "an unknown marker", err, fault.Invalid)
		_, err = s.List(t.Context(), image.Query{Project: "p", Limit: 1, Sort: []image.Order{{By: "upload"}}})
		refused(t, "sorting by what is no attribute", err, fault.Invalid)
	})
}
