package caddymodule

import (
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
	"github.com/stepgate/stepgate/internal/flow"
)

// keyConfig is a configuration with factors beside a password.
func keyConfig(factors string) string {
	return "{\n\tstepgate {\n\t\tpolicy policy.yaml\n\t\tfactors {\n\t\t\tpassword\n" + factors + "\n\t\t}\n\t}\n}\n\nhttp://localhost:18080 {\n\tstepgate\n}\n"
}

func TestKeyFactors(t *testing.T) {
	dir := listOfModels(t)
	for name, factors := range map[string]string{
		"nothing said": "webauthn\npasskey",
		"everything": `passkey {
			rp_id example.com
			related_origins https://shop.example.org https://example.net:8443
			aaguids 01020300-0000-0000-0000-000000000000
			device_bound
			metadata ` + dir + `/list.jwt
			metadata_root ` + dir + `/root.pem
		}`,
		"the same at both": "passkey {\nrp_id example.com\n}\nwebauthn {\nrp_id example.com\n}",
		"a name at home":   "passkey {\nrp_id intranet\n}",
	} {
		t.Run(name, func(t *testing.T) {
			if err := load(t, "Caddyfile", keyConfig(factors)); err != nil {
				t.Error(err)
			}
		})
	}
}

// listOfModels writes a list of models and its root into a directory.
func listOfModels(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	maker, err := webauthntest.NewMaker()
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := webauthntest.NewPublisher()
	if err != nil {
		t.Fatal(err)
	}
	list, err := publisher.List(webauthntest.Model{Root: maker.Root()})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{
		"list.jwt": list, "root.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: publisher.Root().Raw}),
		"other.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: maker.Root().Raw}), "none.pem": []byte("none"),
	} {
		if err := os.WriteFile(dir+"/"+file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestKeyFactorMistakes(t *testing.T) {
	dir := listOfModels(t)
	for factors, want := range map[string]string{
		"passkey {\nrp_id https://example.com\n}":                                          "is no domain",
		"passkey {\nrp_id Example.com\n}":                                                  "is no domain",
		"passkey {\nrp_id 192.0.2.1\n}":                                                    "is no domain",
		"passkey {\nrp_id co.uk\n}":                                                        "belongs to everybody",
		"passkey {\nrp_id a.example.com\n}\nwebauthn {\nrp_id b.example.com\n}":            "it holds for both",
		"passkey {\nrelated_origins https://shop.example.org\n}":                           "belong to an rp_id",
		"passkey {\nrp_id example.com\nrelated_origins http://shop.example.org\n}":         "is no origin",
		"passkey {\nrp_id example.com\nrelated_origins https://shop.example.org/\n}":       "is no origin",
		"passkey {\nrp_id example.com\nrelated_origins https://user@shop.example.org\n}":   "is no origin",
		"passkey {\naaguids 01020300-0000-0000-0000-00000000000G\n}":                       "is no UUID",
		"passkey {\nmetadata " + dir + "/missing\n}":                                       "no such file",
		"passkey {\nmetadata " + dir + "/list.jwt\n}":                                      "list of authenticator models",
		"passkey {\nmetadata " + dir + "/list.jwt\nmetadata_root " + dir + "/other.pem\n}": "list of authenticator models",
		"passkey {\nmetadata " + dir + "/list.jwt\nmetadata_root " + dir + "/none.pem\n}":  "no certificate in PEM",
		"passkey {\nmetadata_root " + dir + "/root.pem\n}":                                 "belongs to metadata",
		"passkey {\ndevice_bound yes\n}":                                                   "argument",
		"passkey {\nresident\n}":                                                           "expected rp_id",
	} {
		t.Run(want, func(t *testing.T) {
			if err := load(t, "Caddyfile", keyConfig(factors)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s\nerror:  %v\nwanted: %s", factors, err, want)
			}
		})
	}
}

// Each host has credentials of its own, unless the operator says otherwise, who is
// told then what that means.
func TestSharedCredentialsAreWarnedOf(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	a := &App{logger: zap.New(core)}
	var o flow.Options
	if err := (&WebAuthnConfig{}).apply(a, &o); err != nil || o.RPID != "" || logs.Len() != 0 {
		t.Fatalf("without an option: %v %q %v", err, o.RPID, logs.All())
	}
	w := &WebAuthnConfig{RPID: "example.com", RelatedOrigins: []string{"https://shop.example.org"}}
	for _, c := range []*WebAuthnConfig{w, {RPID: "example.com"}} {
		if err := c.apply(a, &o); err != nil {
			t.Fatal(err)
		}
	}
	if o.RPID != "example.com" || !slices.Equal(o.RelatedOrigins, w.RelatedOrigins) || logs.Len() == 0 {
		t.Errorf("%q %v %v", o.RPID, o.RelatedOrigins, logs.All())
	}
}

// Both factors share what is asked of authenticators, wherever it was said.
func TestDemandsHoldForBoth(t *testing.T) {
	a := &App{logger: zap.NewNop()}
	dir := listOfModels(t)
	var o flow.Options
	for _, c := range []*WebAuthnConfig{
		{Metadata: dir + "/list.jwt", MetadataRoot: dir + "/root.pem", AAGUIDs: []string{"x"}, DeviceBound: true}, {},
	} {
		if err := c.apply(a, &o); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.authenticators; got.Models == nil || !got.DeviceBound || len(got.AAGUIDs) != 1 {
		t.Errorf("%+v", got)
	}
}
