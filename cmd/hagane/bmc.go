package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/doctor"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/fault"
)

func bmcCommand() *cobra.Command {
	c := &cobra.Command{Use: "bmc", Short: "examine BMCs and what is known about their kinds"}
	c.AddCommand(doctorCommand(), profilesCommand())
	return c
}

// doctorOptions are the flags of bmc doctor.
type doctorOptions struct {
	user, passwordFile, profiles, record, writeProfile string
	protocols                                          []string
	write, oldTLS                                      bool
	timeout                                            time.Duration
}

func doctorCommand() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{Use: "doctor ADDRESS", Args: cobra.ExactArgs(1),
		Short: "try every protocol on a BMC and tell what works, what deviates and which profile fits",
		Long: "Reads only, unless --write is given: then boot device and identify LED are changed and put back.\n" +
			"The password is read from the environment (HAGANE_BMC_PASSWORD) or a file, never from the command line.\n" +
			"ADDRESS is a host, host:port or URL. Repeat a protocol's own address as NAME=ADDRESS in --protocol.",
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := o.password()
			if err != nil {
				return err
			}
			book, err := profile.Load(o.profiles)
			if err != nil {
				return err
			}
			v := doctor.Visit{Open: newBMCs(book).open, Book: book, Write: o.write}
			for _, p := range o.protocols {
				name, address, own := strings.Cut(p, "=")
				if !own {
					address = args[0]
				}
				if name == "ipmi" && !own {
					address = host(address)
				}
				if !slices.Contains(bmc.Protocols, name) || name == "fake" {
					return fault.Field("protocol", "%q is none of redfish, ipmi, ribcl, wsman, scci", name)
				}
				v.Paths = append(v.Paths, bmc.Access{Driver: name, Address: address, Username: o.user, Password: password, Insecure: true, OldTLS: o.oldTLS, Timeout: o.timeout,
					Pace: bmc.Pace{Tries: 2, Least: time.Second, Most: 2 * time.Second, Again: 2, Every: 5 * time.Second, Settle: 20 * time.Second, Look: time.Second}})
			}
			r, err := doctor.Examine(cmd.Context(), v)
			r.Print(cmd.OutOrStdout())
			return firstOf(err, o.keep(r))
		}}
	f := c.Flags()
	f.StringVar(&o.user, "user", "admin", "user name")
	f.StringVar(&o.passwordFile, "password-file", "", "file with the password (default: the environment's HAGANE_BMC_PASSWORD)")
	f.StringSliceVar(&o.protocols, "protocol", []string{"redfish", "ipmi", "ribcl", "wsman", "scci"}, "protocols to try, each NAME or NAME=ADDRESS")
	f.BoolVar(&o.write, "write", false, "also make harmless changes, and put them back")
	f.BoolVar(&o.oldTLS, "old-tls", false, "allow TLS 1.0 and old ciphers, for BMCs of that age")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "of one exchange")
	f.StringVar(&o.profiles, "profiles", "", "folder with profiles of your own")
	f.StringVar(&o.record, "record", "", "write all exchanges to this file, without secrets, for a report or a test")
	f.StringVar(&o.writeProfile, "write-profile", "", "write a profile of what was found to this file")
	return c
}

// host returns the host of an address or URL.
func host(address string) string {
	if _, after, ok := strings.Cut(address, "://"); ok {
		address = after
	}
	address, _, _ = strings.Cut(address, "/")
	if h, _, ok := strings.Cut(address, ":"); ok && strings.Count(address, ":") == 1 {
		return h
	}
	return address
}

func (o *doctorOptions) password() (string, error) {
	if o.passwordFile == "" {
		p := os.Getenv("HAGANE_BMC_PASSWORD")
		if p == "" {
			return "", fault.Errorf(fault.Invalid, "give the password in the environment (HAGANE_BMC_PASSWORD) or by --password-file")
		}
		return p, nil
	}
	text, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return "", fault.E(fault.Invalid, "reading the password file", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// keep writes the files that were asked for.
func (o *doctorOptions) keep(r *doctor.Report) error {
	if o.record != "" {
		f, err := os.OpenFile(o.record, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fault.E(fault.Invalid, "writing the recording", err)
		}
		if err := firstOf(record.Write(f, r.Record), f.Close()); err != nil {
			return err
		}
	}
	if o.writeProfile == "" {
		return nil
	}
	text, err := r.Draft()
	if err != nil {
		return err
	}
	return fault.Wrap("writing the profile", os.WriteFile(o.writeProfile, text, 0o644))
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func profilesCommand() *cobra.Command {
	var folder string
	c := &cobra.Command{Use: "profiles", Short: "list the profiles of BMCs and the deviations that each handles", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			book, err := profile.Load(folder)
			if err != nil {
				return err
			}
			for _, p := range book.All() {
				fmt.Fprintf(cmd.OutOrStdout(), "%-20s %s\n", p.Name, p.Title)
				for _, d := range p.Deviations {
					fmt.Fprintf(cmd.OutOrStdout(), "    %s\n      -> %s (%s)\n", d.Fact, d.Handling, d.Source)
				}
			}
			return nil
		}}
	c.Flags().StringVar(&folder, "profiles", "", "folder with profiles of your own")
	return c
}
