package caddymodule

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"golang.org/x/net/publicsuffix"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/flow"
)

func init() {
	caddy.RegisterModule(&WebAuthnFactor{})
	caddy.RegisterModule(&PasskeyFactor{})
}

// maxModels bounds the list of authenticator models, which has 5 MB at the time of writing.
const maxModels = 64 << 20

// WebAuthnFactor offers security keys. What it says of the relying party and of authenticators
// holds for passkeys too, and may be said at either of the two.
type WebAuthnFactor struct{ WebAuthnConfig }

// PasskeyFactor offers passkeys: WebAuthn credentials that need no name typed and verify their
// user. What it says of the relying party and of authenticators holds for security keys too.
type PasskeyFactor struct{ WebAuthnConfig }

// WebAuthnConfig says who asks for WebAuthn credentials, and which are accepted.
type WebAuthnConfig struct {
	// RPID is the relying party id: a domain whose hosts share their credentials. Every host
	// below it can then ask for them, so name none below which you do not trust every host.
	// Default: the host itself, each on its own.
	RPID string `json:"rp_id,omitempty"`
	// RelatedOrigins are further origins that may use the credentials of RPID although they
	// are not below it (WebAuthn, section 5.11). Each is a site that is gated here too.
	// Default: none.
	RelatedOrigins []string `json:"related_origins,omitempty"`
	// Metadata is a file with the signed list of authenticator models of the FIDO Metadata
	// Service, version 3. With it, authenticators must prove their model, and only models that
	// are on the list and not revoked can be registered.
	// Default: none; then authenticators are not asked for their model.
	Metadata string `json:"metadata,omitempty"`
	// MetadataRoot is a file with the certificate, in PEM, up to which the list is signed. Name
	// one for a list of your own, such as one of keys that your company hands out.
	// Default: the root of the FIDO Alliance.
	MetadataRoot string `json:"metadata_root,omitempty"`
	// AAGUIDs are the only models that can be registered.
	// Default: all.
	AAGUIDs []string `json:"aaguids,omitempty"`
	// DeviceBound refuses credentials that can be copied to other devices.
	// Default: false.
	DeviceBound bool `json:"device_bound,omitempty"`
}

var aaguidText = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// CaddyModule implements caddy.Module.
func (*WebAuthnFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.webauthn", New: func() caddy.Module { return new(WebAuthnFactor) }}
}

// CaddyModule implements caddy.Module.
func (*PasskeyFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.passkey", New: func() caddy.Module { return new(PasskeyFactor) }}
}

// Validate implements caddy.Validator.
func (w *WebAuthnConfig) Validate() error {
	if w.RPID != "" && (w.RPID != strings.ToLower(w.RPID) || strings.ContainsAny(w.RPID, ":/@ ") || net.ParseIP(w.RPID) != nil) {
		return fmt.Errorf("rp_id: %q is no domain; write it like example.com", w.RPID)
	}
	if suffix, _ := publicsuffix.PublicSuffix(w.RPID); strings.Contains(w.RPID, ".") && suffix == w.RPID {
		return fmt.Errorf("rp_id: %q belongs to everybody; browsers refuse it", w.RPID)
	}
	if w.MetadataRoot != "" && w.Metadata == "" {
		return fmt.Errorf("metadata_root belongs to metadata")
	}
	if len(w.RelatedOrigins) > 0 && w.RPID == "" {
		return fmt.Errorf("related_origins belong to an rp_id")
	}
	for _, o := range w.RelatedOrigins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "https" || u.Host == "" || o != "https://"+strings.ToLower(u.Host) {
			return fmt.Errorf("related_origins: %q is no origin; write it like https://shop.example.org", o)
		}
	}
	for _, id := range w.AAGUIDs {
		if !aaguidText.MatchString(id) {
			return fmt.Errorf("aaguids: %q is no UUID in lower case", id)
		}
	}
	return nil
}

func (w *WebAuthnConfig) apply(a *App, o *flow.Options) error {
	if w.RPID != "" {
		if o.RPID != "" && o.RPID != w.RPID {
			return fmt.Errorf("rp_id: %q at one of webauthn and passkey, %q at the other; it holds for both", o.RPID, w.RPID)
		}
		o.RPID = w.RPID
		o.RelatedOrigins = append(o.RelatedOrigins, w.RelatedOrigins...)
		a.logger.Warn("every host below rp_id can ask for the passkeys of all others; list only domains all of whose hosts you trust",
			zap.String("rp_id", w.RPID))
	}
	if len(w.AAGUIDs) > 0 {
		a.authenticators.AAGUIDs = w.AAGUIDs
	}
	a.authenticators.DeviceBound = a.authenticators.DeviceBound || w.DeviceBound
	if w.Metadata == "" {
		return nil
	}
	models, err := readModels(w.Metadata, w.MetadataRoot)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	a.authenticators.Models = models
	return nil
}

// readModels reads a list of authenticator models that is signed up to the certificate in the
// file root, or to that of the FIDO Alliance.
func readModels(list, root string) (*webauthn.Models, error) {
	info, err := os.Stat(list)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxModels {
		return nil, fmt.Errorf("%s is too large to be a list of authenticator models", list)
	}
	blob, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	if root == "" {
		return webauthn.ReadModels(blob, nil)
	}
	text, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate in PEM", root)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", root, err)
	}
	return webauthn.ReadModels(blob, cert)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	webauthn|passkey {
//		rp_id <domain>
//		related_origins <origin>...
//		metadata <file>
//		metadata_root <file>
//		aaguids <uuid>...
//		device_bound
//	}
func (w *WebAuthnConfig) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return onlyOptions(d, "rp_id, related_origins, metadata, metadata_root, aaguids or device_bound", func(option string) (bool, error) {
		list := func(into *[]string) (bool, error) {
			if *into = d.RemainingArgs(); len(*into) == 0 {
				return true, d.ArgErr()
			}
			return true, nil
		}
		switch option {
		case "rp_id":
			return true, oneArg(d, &w.RPID)
		case "related_origins":
			return list(&w.RelatedOrigins)
		case "metadata":
			return true, oneArg(d, &w.Metadata)
		case "metadata_root":
			return true, oneArg(d, &w.MetadataRoot)
		case "aaguids":
			return list(&w.AAGUIDs)
		case "device_bound":
			return true, flagOption(d, &w.DeviceBound)
		}
		return false, nil
	})
}

// Interface guards.
var (
	_ FactorGuest           = (*WebAuthnFactor)(nil)
	_ FactorGuest           = (*PasskeyFactor)(nil)
	_ caddy.Validator       = (*WebAuthnFactor)(nil)
	_ caddy.Validator       = (*PasskeyFactor)(nil)
	_ caddyfile.Unmarshaler = (*WebAuthnFactor)(nil)
	_ caddyfile.Unmarshaler = (*PasskeyFactor)(nil)
)
