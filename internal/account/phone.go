package account

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// ErrPhone means that a text is not a phone number that the gateway sends messages to.
var ErrPhone = errors.New("not a phone number in international form")

const (
	// maxPhone bounds the bytes of a text that is read as a phone number.
	maxPhone = 128
	// maxE164 bounds a number with its +. Some plans have longer ones, which not every
	// operator reaches.
	maxE164 = 16
	// prefixLess is how many digits a block of numbers leaves open.
	prefixLess = 4
)

// FoldPhone returns the one spelling under which a phone number is known, E.164 as in
// "+442079460958", and the ISO 3166 code of its country, as in "GB". The country is "" for
// numbers that belong to none, such as those of satellites.
//
// The text begins with + or 00 and the country code. Digits may be those of any script;
// between them stand spaces, hyphens, dots, slashes and brackets, and a 0 for calls inside the
// country is dropped where the number plan says so. Anything else is ErrPhone: letters,
// extensions, numbers that no plan has, and numbers of kinds that cost the sender much or reach
// no person: premium, shared-cost, toll-free, pager, voicemail, personal, company and short
// numbers. Landlines are accepted, because plans such as that of North America do not tell them
// from mobile phones. The plans are those of libphonenumber.
func FoldPhone(text string) (e164, country string, err error) {
	digits, ok := phoneDigits(text)
	if !ok {
		return "", "", ErrPhone
	}
	number, err := phonenumbers.Parse("+"+digits, "")
	if err != nil {
		return "", "", ErrPhone
	}
	e164 = phonenumbers.Format(number, phonenumbers.E164)
	// What is kept must read as itself, or one phone would have two accounts.
	again, err := phonenumbers.Parse(e164, "")
	if err != nil || len(e164) > maxE164 || phonenumbers.Format(again, phonenumbers.E164) != e164 {
		return "", "", ErrPhone
	}
	switch phonenumbers.GetNumberType(again) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.VOIP:
	default: // a number that no plan has is of an unknown kind
		return "", "", ErrPhone
	}
	if country = phonenumbers.GetRegionCodeForNumber(again); len(country) != 2 {
		country = "" // "001", the world
	}
	return e164, country, nil
}

// phoneDigits returns the digits of a text in ASCII, without the + or 00 that it must begin with.
func phoneDigits(text string) (digits string, ok bool) {
	if len(text) > maxPhone {
		return "", false
	}
	var b strings.Builder
	plus := false
	for _, r := range text {
		switch {
		case r == '+' || r == '\uff0b':
			if plus || b.Len() > 0 {
				return "", false
			}
			plus = true
		case unicode.Is(unicode.Nd, r):
			b.WriteByte('0' + digit(r))
		case !separates(r):
			return "", false
		}
	}
	if plus {
		return b.String(), true
	}
	return strings.CutPrefix(b.String(), "00")
}

// digit is the value of a decimal digit. Unicode keeps those of a script together, from 0 to 9.
func digit(r rune) byte {
	for _, t := range unicode.Nd.R16 {
		if lo := rune(t.Lo); lo <= r && r <= rune(t.Hi) {
			return byte((r - lo) % 10)
		}
	}
	for _, t := range unicode.Nd.R32 {
		if lo := rune(t.Lo); lo <= r && r <= rune(t.Hi) {
			return byte((r - lo) % 10)
		}
	}
	return 0
}

// separates tells whether a rune may stand between digits. Marks of direction come along when
// a number is copied from an address book.
func separates(r rune) bool {
	switch r {
	case '-', '.', '/', '(', ')', '\u2212', '\uff0d', '\uff0e', '\uff08', '\uff09', '\u200b', '\u2060', '\ufeff':
		return true
	}
	return unicode.IsSpace(r) || '\u2010' <= r && r <= '\u2015' || unicode.Is(unicode.Bidi_Control, r)
}

// MaskPhone hides most of a number for a page that shows it to somebody who proved less than
// the phone: "+44 … 58". It takes what FoldPhone returned; of anything else it shows nothing.
func MaskPhone(e164 string) string {
	code, national, ok := splitPhone(e164)
	if !ok {
		return "…"
	}
	return "+" + code + " … " + national[len(national)-2:]
}

// PhonePrefix is the key of a budget for a block of neighbouring numbers: the country code and
// the national number without its last four digits, as in "+44207946". That is 10,000 numbers,
// the smallest block that operators are commonly given, so that whoever is paid for messages to
// a block of numbers meets the bound of that block. It takes what FoldPhone returned; anything
// else is its own key.
func PhonePrefix(e164 string) string {
	code, national, ok := splitPhone(e164)
	if !ok {
		return e164
	}
	return "+" + code + national[:max(0, len(national)-prefixLess)]
}

// splitPhone splits a number into its country code and the rest, of two digits or more.
func splitPhone(e164 string) (code, national string, ok bool) {
	if len(e164) > maxE164 || !strings.HasPrefix(e164, "+") || strings.Trim(e164[1:], "0123456789") != "" {
		return "", "", false
	}
	number, err := phonenumbers.Parse(e164, "")
	if err != nil {
		return "", "", false
	}
	code = strconv.Itoa(int(number.GetCountryCode()))
	national, ok = strings.CutPrefix(e164, "+"+code)
	return code, national, ok && len(national) >= 2
}
