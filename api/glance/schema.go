package glance

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/image"
)

// A schema says what is served, and which of it clients may write. Glance's own client reads it before anything else.

func aText(what string) api.Object { return api.Object{"type": "string", "description": what} }

func mayBeNull(what string) api.Object {
	return api.Object{"type": []string{"null", "string"}, "description": what}
}

func aNumber(what string) api.Object { return api.Object{"type": "integer", "description": what} }

func aTruth(what string) api.Object { return api.Object{"type": "boolean", "description": what} }

// only is a text that is one of some.
func only(what string, values []string) api.Object {
	return api.Object{"type": "string", "enum": values, "description": what}
}

// format is one of some formats, or none yet.
func format(what string, values []string) api.Object {
	all := []any{nil}
	for _, v := range values {
		all = append(all, v)
	}
	return api.Object{"type": []string{"null", "string"}, "enum": all, "description": what}
}

// fixed marks what only the service writes.
func fixed(o api.Object) api.Object {
	o["readOnly"] = true
	return o
}

const uuidPattern = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"

func imageProperties() api.Object {
	id := aText("An identifier for the image")
	id["pattern"] = uuidPattern
	name := mayBeNull("Descriptive name for the image")
	name["maxLength"] = image.MaxText
	statuses := []string{string(image.Queued), string(image.Saving), string(image.Uploading), string(image.Importing), string(image.Active), string(image.Deactivated)}
	return api.Object{
		"id": id, "name": name, "owner": mayBeNull("Project that owns the image; operators set it"),
		"status":           fixed(only("Status of the image", statuses)),
		"visibility":       only("Who may use the image; operators set public", image.Visibilities),
		"protected":        aTruth("If true, the image can not be deleted"),
		"os_hidden":        aTruth("If true, the image is not in lists unless they ask for hidden ones"),
		"min_disk":         aNumber("GB of disk that it takes to run the image"),
		"min_ram":          aNumber("MB of memory that it takes to run the image"),
		"tags":             api.Object{"type": "array", "items": api.Object{"type": "string", "maxLength": image.MaxText}, "description": "Words to find the image by"},
		"disk_format":      format("Format of the disk", image.DiskFormats),
		"container_format": format("Format of the container", image.ContainerFormats),
		"size":             fixed(api.Object{"type": []string{"null", "integer"}, "description": "Bytes of the data"}),
		"virtual_size":     fixed(api.Object{"type": []string{"null", "integer"}, "description": "Bytes of the disk in the data, where they were read"}),
		"checksum":         fixed(mayBeNull("MD5 of the data")),
		"os_hash_algo":     fixed(mayBeNull("Algorithm of os_hash_value")),
		"os_hash_value":    fixed(mayBeNull("Hash of the data")),
		"created_at":       fixed(aText("When the image was made")),
		"updated_at":       fixed(aText("When the image was last changed")),
		"stores":           fixed(aText("Where the data are")),
		"self":             fixed(aText("The image's document")),
		"file":             fixed(aText("The image's data")),
		"schema":           fixed(aText("This schema")),
	}
}

func imageSchemaDoc() api.Object {
	return api.Object{"name": "image", "properties": imageProperties(), "additionalProperties": api.Object{"type": "string"},
		"links": []api.Object{{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"}}}
}

func memberSchemaDoc() api.Object {
	return api.Object{"name": "member", "properties": api.Object{
		"image_id": aText("The image"), "member_id": aText("The project that it is shared with"), "status": only("Whether the project has accepted it", image.MemberStatuses),
		"created_at": aText("When it was shared"), "updated_at": aText("When that last changed"), "schema": aText("This schema")}}
}

func taskSchemaDoc() api.Object {
	statuses := []string{image.TaskPending, image.TaskProcessing, image.TaskSuccess, image.TaskFailure}
	free := func() api.Object { return api.Object{"type": []string{"null", "object"}} }
	return api.Object{"name": "task", "properties": api.Object{
		"id": aText("An identifier for the task"), "type": only("What is done", []string{image.TypeImport, image.TypeNewImport}), "status": only("How far it is", statuses),
		"owner": aText("The image's project"), "image_id": aText("The image"), "user_id": aText("Who asked"), "request_id": aText("The call that asked"),
		"input": free(), "result": free(), "message": aText("Why it failed"), "expires_at": mayBeNull("When the task is forgotten"),
		"created_at": aText("When it was asked for"), "updated_at": aText("When it last changed"), "self": aText("The task's document"), "schema": aText("This schema")}}
}

// many is the schema of a page of documents.
func many(name string, one api.Object) api.Object {
	return api.Object{"name": name, "properties": api.Object{name: api.Object{"type": "array", "items": one},
		"first": aText("The first page"), "next": aText("The next page"), "schema": aText("This schema")},
		"links": []api.Object{{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, {"rel": "describedby", "href": "{schema}"}}}
}

func (g *glance) imageSchema(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, imageSchemaDoc())
}

func (g *glance) imagesSchema(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, many("images", imageSchemaDoc()))
}

func (g *glance) memberSchema(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, memberSchemaDoc())
}

func (g *glance) membersSchema(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, many("members", memberSchemaDoc()))
}

func (g *glance) taskSchema(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, taskSchemaDoc())
}

func (g *glance) tasksSchema(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, many("tasks", taskSchemaDoc()))
}
