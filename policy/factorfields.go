package policy

import (
	"errors"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// factorValue is a proven factor in a list of an expression.
type factorValue struct{ f *Factor }

// factorList leaves out proofs that were made for one rule: they serve one request, and
// nothing else can build on them.
func factorList(fs []Factor) ref.Val {
	out := make([]ref.Val, 0, len(fs))
	for i := range fs {
		if fs[i].ForRule == "" {
			out = append(out, &factorValue{&fs[i]})
		}
	}
	return types.NewRefValList(adapter, out)
}

var errNoConversion = errors.New("a factor is no other kind of value")

// ConvertToNative has nothing to convert to.
func (*factorValue) ConvertToNative(reflect.Type) (any, error) { return nil, errNoConversion }

// ConvertToType knows only what the value is.
func (v *factorValue) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case factorType:
		return v
	case types.TypeType:
		return factorType
	}
	return types.WrapErr(errNoConversion)
}

// Equal compares credentials.
func (v *factorValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(*factorValue)
	return types.Bool(ok && v.f.Name == o.f.Name && v.f.ID == o.f.ID)
}

// Type is the type of factors.
func (*factorValue) Type() ref.Type { return factorType }

// Value is the factor, as its fields read it.
func (v *factorValue) Value() any { return v.f }

// kinds are type and delivery_method of each factor name.
var kinds = map[string][2]string{
	"password":      {"password", "knowledge"},
	"magic_link":    {"magic_link", "email"},
	"email_otp":     {"otp", "email"},
	"sms_otp":       {"otp", "sms"},
	"whatsapp_otp":  {"otp", "whatsapp"},
	"oauth":         {"oauth", "oauth_oidc"},
	"totp":          {"totp", "authenticator_app"},
	"recovery_code": {"recovery_codes", "recovery_code"},
	"webauthn":      {"webauthn", "webauthn_registration"},
	"crypto_wallet": {"crypto", "crypto_wallet"},
}

// providers are the delivery methods of providers that have one of their own.
var providers = map[string]string{
	"google": "oauth_google", "github": "oauth_github", "microsoft": "oauth_microsoft", "apple": "oauth_apple",
}

func (f *Factor) delivery() string {
	switch {
	case f.Details != nil && f.Details.Delivery != "":
		return f.Details.Delivery
	case f.Name == "oauth" && providers[f.Variant] != "":
		return providers[f.Variant]
	}
	return kinds[f.Name][1]
}

// details never is nil.
func (f *Factor) details() *Details {
	if f.Details == nil {
		return &Details{CreatedAt: f.At, UpdatedAt: f.At}
	}
	return f.Details
}

func factorText(get func(*Factor) string) *types.FieldType {
	return field(cel.StringType, func(f *Factor) (ref.Val, error) { return text(get(f)) })
}

var factorFields = fields{
	"product":               factorText(func(f *Factor) string { return f.Name }),
	"type":                  factorText(func(f *Factor) string { return kinds[f.Name][0] }),
	"delivery_method":       factorText((*Factor).delivery),
	"sequence_order":        factorText(func(f *Factor) string { return f.details().Sequence }),
	"last_authenticated_at": field(cel.TimestampType, func(f *Factor) (ref.Val, error) { return moment(f.At) }),
	"created_at":            field(cel.TimestampType, func(f *Factor) (ref.Val, error) { return moment(f.details().CreatedAt) }),
	"updated_at":            field(cel.TimestampType, func(f *Factor) (ref.Val, error) { return moment(f.details().UpdatedAt) }),

	"email_factor":             part(emailPart, "magic_link", "email_otp"),
	"phone_number_factor":      part(phonePart, "sms_otp", "whatsapp_otp"),
	"google_oauth_factor":      part(oauthPart, "oauth_google"),
	"github_oauth_factor":      part(oauthPart, "oauth_github"),
	"microsoft_oauth_factor":   part(oauthPart, "oauth_microsoft"),
	"apple_oauth_factor":       part(oauthPart, "oauth_apple"),
	"oidc_oauth_factor":        part(oauthPart, "oauth_oidc"),
	"authenticator_app_factor": part(totpPart, "totp"),
	"recovery_code_factor":     part(recoveryPart, "recovery_code"),
	"webauthn_factor":          part(webauthnPart, "webauthn"),
	"crypto_wallet_factor":     part(walletPart, "crypto_wallet"),
}

// The parts that only some factors have.
var (
	emailPart    = types.NewObjectType("email factor")
	phonePart    = types.NewObjectType("phone number factor")
	oauthPart    = types.NewObjectType("oauth factor")
	totpPart     = types.NewObjectType("authenticator app factor")
	recoveryPart = types.NewObjectType("recovery code factor")
	webauthnPart = types.NewObjectType("webauthn factor")
	walletPart   = types.NewObjectType("crypto wallet factor")
)

// part is a field that has() finds only in some factors, by their name or delivery method. In
// others its own fields are empty.
func part(t *cel.Type, of ...string) *types.FieldType {
	var none Factor
	has := func(object any) bool {
		f, ok := object.(*Factor)
		for _, name := range of {
			if ok && (f.Name == name || f.Name == "oauth" && f.delivery() == name) {
				return true
			}
		}
		return false
	}
	return &types.FieldType{Type: t, IsSet: has, GetFrom: func(object any) (any, error) {
		if has(object) {
			return object, nil
		}
		return &none, nil
	}}
}

func factorID(f *Factor) string      { return f.ID }
func factorAddress(f *Factor) string { return f.details().Address }

var partFields = map[*cel.Type]fields{
	emailPart: {"email_id": factorText(factorID), "email_address": factorText(factorAddress)},
	phonePart: {"phone_id": factorText(factorID), "phone_number": factorText(factorAddress)},
	oauthPart: {
		"id": factorText(factorID), "provider_subject": factorText(factorAddress),
		"email_id":    factorText(func(f *Factor) string { return f.details().EmailID }),
		"provider_id": factorText(func(f *Factor) string { return f.Variant }),
	},
	totpPart:     {"totp_id": factorText(factorID)},
	recoveryPart: {"totp_recovery_code_id": factorText(factorID)},
	webauthnPart: {
		"webauthn_registration_id": factorText(factorID),
		"domain":                   factorText(func(f *Factor) string { return f.details().Domain }),
		"user_agent":               factorText(func(f *Factor) string { return f.details().UserAgent }),
		"authenticator_type":       factorText(func(f *Factor) string { return f.Attachment }),
		"user_verified":            field(cel.BoolType, func(f *Factor) (ref.Val, error) { return truth(f.UserVerified) }),
		"discoverable":             field(cel.BoolType, func(f *Factor) (ref.Val, error) { return truth(f.Discoverable) }),
	},
	walletPart: {
		"crypto_wallet_id": factorText(factorID), "crypto_wallet_address": factorText(factorAddress),
		"crypto_wallet_type": factorText(func(f *Factor) string { return f.Variant }),
	},
}
