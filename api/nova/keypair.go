package nova

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

func keyPairDoc(r *api.Request, k server.KeyPair) api.Object {
	d := api.Object{"name": k.Name, "fingerprint": k.Fingerprint, "public_key": k.PublicKey}
	d["type"] = "ssh"
	return since{"type": 2}.at(r, d)
}

// keysOf is whose key pairs a request is about: the caller's, or those of a user whom an operator names.
func keysOf(r *api.Request, user string) (string, error) {
	if user == "" || user == r.Caller.User.ID {
		return r.Caller.User.ID, nil
	}
	if !r.Caller.Operator() {
		return "", fault.Errorf(fault.Denied, "only an operator may work with the key pairs of another user")
	}
	return user, nil
}

func (n *nova) keyPairs(w http.ResponseWriter, r *api.Request) error {
	user, err := keysOf(r, r.URL.Query().Get("user_id"))
	if err != nil {
		return err
	}
	most, err := limit(r)
	if err != nil {
		return err
	}
	ks, err := n.servers.KeyPairs(r.Context(), r.Caller.ProjectID(), user, r.URL.Query().Get("marker"), most+1)
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(ks) > most {
		ks = ks[:most]
		out["keypairs_links"] = next(r, ks[most-1].Name)
	}
	docs := []api.Object{}
	for _, k := range ks {
		docs = append(docs, api.Object{"keypair": keyPairDoc(r, k)})
	}
	out["keypairs"] = docs
	return api.JSON(w, http.StatusOK, out)
}

func (n *nova) createKeyPair(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		KeyPair struct {
			Name      string `json:"name"`
			PublicKey string `json:"public_key"`
			Type      string `json:"type"`
			UserID    string `json:"user_id"`
		} `json:"keypair"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	in := b.KeyPair
	if in.Type != "" && in.Type != "ssh" {
		return fault.Field("type", "type must be ssh: certificates are for systems that log in otherwise")
	}
	user, err := keysOf(r, in.UserID)
	if err != nil {
		return err
	}
	k, private, err := n.servers.CreateKeyPair(r.Context(), server.KeyPair{ProjectID: r.Caller.ProjectID(), UserID: user, Name: in.Name, PublicKey: in.PublicKey})
	if err != nil {
		return err
	}
	d := keyPairDoc(r, k)
	d["user_id"] = k.UserID
	if private != "" {
		d["private_key"] = private
	}
	status := http.StatusOK
	if microOf(r) >= 2 {
		status = http.StatusCreated
	}
	return api.JSON(w, status, api.Object{"keypair": d})
}

func (n *nova) keyPair(w http.ResponseWriter, r *api.Request) error {
	user, err := keysOf(r, r.URL.Query().Get("user_id"))
	if err != nil {
		return err
	}
	k, err := n.servers.KeyPair(r.Context(), r.Caller.ProjectID(), user, r.PathValue("name"))
	if err != nil {
		return err
	}
	d := keyPairDoc(r, k)
	d["user_id"], d["created_at"], d["updated_at"], d["deleted"], d["deleted_at"] = k.UserID, instant(k.CreatedAt), nil, false, nil
	return api.JSON(w, http.StatusOK, api.Object{"keypair": d})
}

func (n *nova) deleteKeyPair(w http.ResponseWriter, r *api.Request) error {
	user, err := keysOf(r, r.URL.Query().Get("user_id"))
	if err != nil {
		return err
	}
	if err := n.servers.DeleteKeyPair(r.Context(), r.Caller.ProjectID(), user, r.PathValue("name")); err != nil {
		return err
	}
	status := http.StatusAccepted
	if microOf(r) >= 2 {
		status = http.StatusNoContent
	}
	w.WriteHeader(status)
	return nil
}
