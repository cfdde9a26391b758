package glance

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/image"
)

func memberDoc(m image.Member) api.Object {
	return api.Object{"image_id": m.ImageID, "member_id": m.MemberID, "status": m.Status, "created_at": api.Time(m.CreatedAt), "updated_at": api.Time(m.UpdatedAt),
		"schema": "/v2/schemas/member"}
}

func (g *glance) members(w http.ResponseWriter, r *api.Request) error {
	ms, err := g.Members(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, m := range ms {
		docs = append(docs, memberDoc(m))
	}
	return api.JSON(w, http.StatusOK, api.Object{"members": docs, "schema": "/v2/schemas/members"})
}

func (g *glance) member(w http.ResponseWriter, r *api.Request) error {
	m, err := g.Member(r.Context(), project(r), r.PathValue("id"), r.PathValue("member"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, memberDoc(m))
}

func (g *glance) addMember(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Member string `json:"member"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	m, err := g.AddMember(r.Context(), project(r), r.PathValue("id"), b.Member)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, memberDoc(m))
}

func (g *glance) setMember(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Status string  `json:"status"`
		Member *string `json:"member"` // openstacksdk repeats it
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	m, err := g.SetMember(r.Context(), project(r), r.PathValue("id"), r.PathValue("member"), b.Status)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, memberDoc(m))
}

func (g *glance) removeMember(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, g.RemoveMember(r.Context(), project(r), r.PathValue("id"), r.PathValue("member")))
}
