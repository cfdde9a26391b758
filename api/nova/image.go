package nova

import (
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/image"
)

// imagesEnd and imageMetadataEnds are the microversions with which images, and later what is said of them, went from this
// API to the image service alone. Source: Nova's "REST API Version History", 2.36 and 2.39.
const (
	imagesEnd         = 36
	imageMetadataEnds = 39
)

func (n *nova) imageRoutes() []api.Route {
	images := func(do handler) handler { return until(imagesEnd, "images", "image", do) }
	metadata := func(do handler) handler { return until(imageMetadataEnds, "the metadata of images", "image", do) }
	return []api.Route{
		{"GET", "/v2.1/images", api.Readers, images(n.listImages)},
		{"GET", "/v2.1/images/detail", api.Readers, images(n.listImagesDetail)},
		{"GET", "/v2.1/images/{id}", api.Readers, images(n.showImage)},
		{"DELETE", "/v2.1/images/{id}", api.Members, images(n.deleteImage)},
		{"GET", "/v2.1/images/{id}/metadata", api.Readers, metadata(n.imageMetadata)},
		{"POST", "/v2.1/images/{id}/metadata", api.Members, metadata(n.mergeImageMetadata)},
		{"PUT", "/v2.1/images/{id}/metadata", api.Members, metadata(n.replaceImageMetadata)},
		{"GET", "/v2.1/images/{id}/metadata/{key}", api.Readers, metadata(n.imageMetadatum)},
		{"PUT", "/v2.1/images/{id}/metadata/{key}", api.Members, metadata(n.setImageMetadatum)},
		{"DELETE", "/v2.1/images/{id}/metadata/{key}", api.Members, metadata(n.dropImageMetadatum)},
	}
}

// imageStates are all that an image can be in.
var imageStates = []image.Status{image.Queued, image.Saving, image.Uploading, image.Importing, image.Active, image.Deactivated}

// imageStatus is Nova's name for an image's state, and how far it has come in per cent.
func imageStatus(s image.Status) (string, int) {
	switch s {
	case image.Active:
		return "ACTIVE", 100
	case image.Deactivated:
		return "UNKNOWN", 0
	case image.Queued:
		return "SAVING", 25
	case image.Saving, image.Uploading, image.Importing:
	}
	return "SAVING", 50
}

// imageLinks point at an image here and in the image service.
func imageLinks(r *api.Request, id string) []api.Object {
	return append(links(r, "images", id), api.Object{"rel": "alternate", "type": "application/vnd.openstack.image", "href": api.BaseURL(r.Request) + "/image/v2/images/" + id})
}

func imageDoc(r *api.Request, i image.Image) api.Object {
	status, progress := imageStatus(i.Status)
	return api.Object{"id": i.ID, "name": i.Name, "status": status, "progress": progress, "minDisk": i.MinDisk, "minRam": i.MinRAM, "metadata": i.Properties,
		"created": api.Time(i.CreatedAt), "updated": api.Time(i.UpdatedAt), "OS-EXT-IMG-SIZE:size": i.Size, "links": imageLinks(r, i.ID)}
}

func (n *nova) listImages(w http.ResponseWriter, r *api.Request) error {
	return n.imageList(w, r, func(i image.Image) api.Object {
		return api.Object{"id": i.ID, "name": i.Name, "links": imageLinks(r, i.ID)}
	})
}

func (n *nova) listImagesDetail(w http.ResponseWriter, r *api.Request) error {
	return n.imageList(w, r, func(i image.Image) api.Object { return imageDoc(r, i) })
}

func (n *nova) imageList(w http.ResponseWriter, r *api.Request, show func(image.Image) api.Object) error {
	q, err := imageQuery(r)
	if err != nil {
		return err
	}
	most := q.Limit
	q.Limit++ // one more tells whether there is a next page
	all, err := n.images.List(r.Context(), q)
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(all) > most {
		all = all[:most]
		out["images_links"] = next(r, all[most-1].ID)
	}
	docs := []api.Object{}
	for _, i := range all {
		docs = append(docs, show(i))
	}
	out["images"] = docs
	return api.JSON(w, http.StatusOK, out)
}

// imageQuery reads what a list of images is asked for.
func imageQuery(r *api.Request) (image.Query, error) {
	q := image.Query{Project: r.Caller.ProjectID(), All: r.Caller.Operator(), Members: image.Accepted, After: r.URL.Query().Get("marker"),
		Where: map[string][]string{}, Numbers: map[string]int64{}, Properties: map[string]string{}}
	var err error
	if q.Limit, err = limit(r); err != nil {
		return q, err
	}
	for name := range r.URL.Query() {
		if err := imageFilter(&q, r, name, r.URL.Query().Get(name)); err != nil {
			return q, err
		}
	}
	return q, nil
}

// imageFilter reads one part of a query. What nobody knows is left out of account, as Nova does.
func imageFilter(q *image.Query, r *api.Request, name, value string) (err error) {
	if value == "" {
		return nil
	}
	switch property, custom := strings.CutPrefix(name, "property-"); {
	case custom:
		q.Properties[property] = value
	case name == "name":
		q.Where["name"] = []string{value}
	case name == "status":
		q.Where["status"] = statesNamed(value)
	case name == "server":
		q.Properties["instance_uuid"] = last(value)
	case name == "type":
		q.Properties["image_type"] = value
	case name == "minDisk":
		q.Numbers["min_disk"], err = whole(r, name)
	case name == "minRam":
		q.Numbers["min_ram"], err = whole(r, name)
	case name == "changes-since":
		since := image.Time{Column: "updated_at", Compare: "gte"}
		since.At, err = timeOf(r, name)
		q.Times = append(q.Times, since)
	}
	return err
}

// statesNamed are the states of images that have one of Nova's names. A name that none has selects nothing.
func statesNamed(name string) []string {
	name = strings.ToUpper(name)
	out := []string{name}
	for _, s := range imageStates {
		if is, _ := imageStatus(s); is == name {
			out = append(out, string(s))
		}
	}
	return out
}

func (n *nova) findImage(r *api.Request) (image.Image, error) {
	return n.images.Get(r.Context(), scope(r), r.PathValue("id"))
}

func (n *nova) showImage(w http.ResponseWriter, r *api.Request) error {
	i, err := n.findImage(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"image": imageDoc(r, i)})
}

func (n *nova) deleteImage(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, n.images.Delete(r.Context(), scope(r), r.PathValue("id")))
}

func (n *nova) imageMetadata(w http.ResponseWriter, r *api.Request) error {
	i, err := n.findImage(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metadataBody{orEmpty(i.Properties)})
}

// setImageMetadata makes an image's properties what change makes of them.
func (n *nova) setImageMetadata(r *api.Request, change func(have map[string]string) (map[string]string, error)) (image.Image, error) {
	return n.images.Update(r.Context(), scope(r), r.PathValue("id"), func(i *image.Image) (err error) {
		i.Properties, err = change(orEmpty(i.Properties))
		return err
	})
}

func (n *nova) giveImageMetadata(w http.ResponseWriter, r *api.Request, change func(have, given map[string]string) map[string]string) error {
	given, err := metadataOf(w, r)
	if err != nil {
		return err
	}
	i, err := n.setImageMetadata(r, func(have map[string]string) (map[string]string, error) { return change(have, given), nil })
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metadataBody{orEmpty(i.Properties)})
}

func (n *nova) mergeImageMetadata(w http.ResponseWriter, r *api.Request) error {
	return n.giveImageMetadata(w, r, merged)
}

func (n *nova) replaceImageMetadata(w http.ResponseWriter, r *api.Request) error {
	return n.giveImageMetadata(w, r, func(_, given map[string]string) map[string]string { return given })
}

func (n *nova) imageMetadatum(w http.ResponseWriter, r *api.Request) error {
	i, err := n.findImage(r)
	if err != nil {
		return err
	}
	return showMeta(w, r, i.Properties)
}

func (n *nova) setImageMetadatum(w http.ResponseWriter, r *api.Request) error {
	given, err := metaOf(w, r)
	if err != nil {
		return err
	}
	if _, err := n.setImageMetadata(r, func(have map[string]string) (map[string]string, error) { return merged(have, given), nil }); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metaBody{given})
}

func (n *nova) dropImageMetadatum(w http.ResponseWriter, r *api.Request) error {
	key := r.PathValue("key")
	_, err := n.setImageMetadata(r, func(have map[string]string) (map[string]string, error) {
		if _, ok := have[key]; !ok {
			return nil, noMetadatum()
		}
		delete(have, key)
		return have, nil
	})
	return api.Gone(w, err)
}
