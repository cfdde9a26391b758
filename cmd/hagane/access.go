package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"gopkg.in/yaml.v3"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
)

// cloudName is the name of this cloud in clouds.yaml.
const cloudName = "hagane"

// cloudsFile is the form of clouds.yaml that OpenStack's clients read.
type cloudsFile struct {
	Clouds map[string]cloudAccess `yaml:"clouds"`
}

type cloudAccess struct {
	AuthType   string    `yaml:"auth_type"` // said outright: the baremetal command takes none when it is missing
	Auth       cloudAuth `yaml:"auth"`
	RegionName string    `yaml:"region_name"`
	APIVersion string    `yaml:"identity_api_version"`
}

type cloudAuth struct {
	AuthURL           string `yaml:"auth_url"`
	Username          string `yaml:"username"`
	Password          string `yaml:"password"`
	ProjectName       string `yaml:"project_name"`
	UserDomainName    string `yaml:"user_domain_name"`
	ProjectDomainName string `yaml:"project_domain_name"`
}

// writeAccess writes clouds.yaml and openrc into the data folder, for its owner alone. Without a new
// password the one in the file stays.
func writeAccess(data, base, region, password string) error {
	path := filepath.Join(data, "clouds.yaml")
	a := cloudAccess{AuthType: "password", RegionName: region, APIVersion: "3", Auth: cloudAuth{AuthURL: base + "/identity/v3", Username: "admin", Password: password,
		ProjectName: "admin", UserDomainName: "Default", ProjectDomainName: "Default"}}
	if password == "" {
		old, err := client.ReadAccess(data, cloudName)
		if fault.Is(err, fault.Unavailable) {
			return nil // the operator keeps the password elsewhere
		}
		if err != nil {
			return err
		}
		a.Auth.Password = old.Password
	}
	raw, err := yaml.Marshal(cloudsFile{Clouds: map[string]cloudAccess{cloudName: a}})
	if err != nil {
		return err
	}
	rc := fmt.Sprintf("export OS_AUTH_URL=%s\nexport OS_USERNAME=%s\nexport OS_PASSWORD=%s\nexport OS_PROJECT_NAME=%s\nexport OS_USER_DOMAIN_NAME=Default\nexport OS_PROJECT_DOMAIN_NAME=Default\nexport OS_REGION_NAME=%s\nexport OS_IDENTITY_API_VERSION=3\n",
		a.Auth.AuthURL, a.Auth.Username, a.Auth.Password, a.Auth.ProjectName, region)
	return errors.Join(replace(path, raw), replace(filepath.Join(data, "openrc"), []byte(rc)))
}

// replace writes a file for its owner alone, whole or not at all.
func replace(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600 from the start
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

// lockData keeps other processes off the data folder.
func lockData(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.E(fault.Internal, "opening the lock of the data folder", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fault.Errorf(fault.Conflict, "another hagane serve is using the data folder %s; stop it or give another --data", dir), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
