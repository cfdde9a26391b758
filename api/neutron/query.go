package neutron

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// query reads what a list is asked for.
func query(r *api.Request) (network.Query, error) {
	q := network.Query{Where: map[string][]string{}}
	values := r.URL.Query()
	for key, given := range values {
		var err error
		switch key {
		case "fields", "sort_key", "sort_dir":
		case "limit":
			q.Limit, err = strconv.Atoi(given[0])
			if err != nil || q.Limit < 0 {
				return q, fault.Field("limit", "must be 0 or more")
			}
		case "marker":
			q.After = given[0]
		case "page_reverse":
			q.Reverse = strings.EqualFold(given[0], "true") || given[0] == "1"
		case "tags":
			q.Tags = words(given)
		case "tags-any":
			q.AnyTag = words(given)
		case "not-tags":
			q.NotTags = words(given)
		case "not-tags-any":
			q.NotAnyTag = words(given)
		case "changed_since", "changed-since":
			if q.Since, err = time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(given[0], "Z")); err != nil {
				return q, fault.Field(key, "must be a time such as 2026-01-31T12:00:00")
			}
		case "fixed_ips":
			for _, v := range given {
				name, value, _ := strings.Cut(v, "=")
				q.Where["fixed_ips."+name] = append(q.Where["fixed_ips."+name], value)
			}
		default:
			if err := filter(r, q, key, given); err != nil {
				return q, err
			}
		}
	}
	return q, order(&q, values)
}

// words splits lists of tags.
func words(given []string) []string { return strings.Split(strings.Join(given, ","), ",") }

// forOperators are attributes that only operators see.
func forOperators(name string) bool {
	return strings.HasPrefix(name, "provider:") || name == "binding:host_id"
}

// filter adds a filter by an attribute.
func filter(r *api.Request, q network.Query, name string, given []string) error {
	if forOperators(name) && !r.Caller.Operator() {
		return fault.Field(name, "only an operator may filter by %s", name)
	}
	q.Where[name] = given
	return nil
}

// order reads by what to sort; a direction that is not given is ascending.
func order(q *network.Query, values url.Values) error {
	keys, dirs := values["sort_key"], values["sort_dir"]
	if len(dirs) > len(keys) {
		return fault.Field("sort_dir", "there are more of it than of sort_key")
	}
	for i, key := range keys {
		o := network.Order{By: key}
		if i < len(dirs) {
			if dirs[i] != "asc" && dirs[i] != "desc" {
				return fault.Field("sort_dir", "must be asc or desc")
			}
			o.Descending = dirs[i] == "desc"
		}
		q.Sort = append(q.Sort, o)
	}
	return nil
}

// pageLinks are the links to the pages around one with the things ids; nil when there are none, or no limit was asked for.
func pageLinks(r *api.Request, q network.Query, ids []string) []api.Object {
	if q.Limit == 0 || len(ids) == 0 {
		return nil
	}
	link := func(rel, marker string, reverse bool) api.Object {
		values := r.URL.Query()
		values.Set("marker", marker)
		values.Del("page_reverse")
		if reverse {
			values.Set("page_reverse", "True")
		}
		return api.Object{"rel": rel, "href": api.BaseURL(r.Request) + r.URL.Path + "?" + values.Encode()}
	}
	var links []api.Object
	if full := len(ids) == q.Limit; full || q.Reverse {
		links = append(links, link("next", ids[len(ids)-1], false))
	}
	if q.After != "" && (len(ids) == q.Limit || !q.Reverse) {
		links = append(links, link("previous", ids[0], true))
	}
	return links
}
