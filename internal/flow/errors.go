package flow

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// Error is an answer to a person or a program that asked for something it cannot have. Its
// public part never tells whether an account exists.
type Error struct {
	// Type is the stable error_type of the API.
	Type string
	// Status is the HTTP status that goes with it.
	Status int
	// Detail is a sentence for people that says what to do.
	Detail string
	// Required is what the session must hold for the call to pass; nil when that is not
	// what is missing.
	Required *policy.Requirement
	// RetryAfter is when to try again; zero when time does not help.
	RetryAfter time.Duration
	// cause is for logs.
	cause error
}

// Error implements error. It is for logs: it holds the cause.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Type + ": " + e.cause.Error()
	}
	return e.Type
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is compare by Type.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Type == e.Type
}

func refusal(status int, kind, detail string) *Error {
	return &Error{Type: kind, Status: status, Detail: detail}
}

// The refusals of the engine.
var (
	ErrInvalidEmail = refusal(http.StatusBadRequest, "invalid_email",
		"This is not an e-mail address. It should look like name@example.com.")
	ErrInvalidCode = refusal(http.StatusBadRequest, "invalid_code",
		"A code has exactly six digits. Type it as it is shown, without spaces.")
	ErrInvalidRecoveryCode = refusal(http.StatusBadRequest, "invalid_code",
		"A recovery code has four groups of four letters and digits, like 4F7K-2M9P-XQ3T-8WZA.")
	ErrCredentials = refusal(http.StatusUnauthorized, "unauthorized_credentials",
		"The e-mail address and password do not match, or sign-in is paused after too many tries. Check both, reset the password, or wait an hour.")
	ErrResetPassword = refusal(http.StatusUnauthorized, "reset_password",
		"This password can no longer be used. Choose a new one with “Forgot password”.")
	ErrOTPIncorrect = refusal(http.StatusUnauthorized, "otp_code_incorrect",
		"This code is not right. Look at the newest message and type its six digits again.")
	ErrOTPExpired = refusal(http.StatusUnauthorized, "otp_code_expired",
		"This code has expired. Ask for a new one.")
	ErrOTPUsed = refusal(http.StatusUnauthorized, "otp_code_used",
		"This code was used already. Ask for a new one.")
	ErrTOTPIncorrect = refusal(http.StatusUnauthorized, "totp_code_incorrect",
		"This code is not right. Wait for the next one in your authenticator app and check that your device's clock is right.")
	ErrTOTPUsed = refusal(http.StatusUnauthorized, "totp_code_already_authenticated",
		"This code was used already. Wait for the next one in your authenticator app.")
	ErrTOTPNotFound = refusal(http.StatusNotFound, "totp_not_found",
		"No authenticator app is set up for this account.")
	ErrRecoveryIncorrect = refusal(http.StatusUnauthorized, "recovery_code_incorrect",
		"This recovery code is not right or was used already. Try another one from your list.")
	ErrNoSession = refusal(http.StatusUnauthorized, "session_not_found",
		"You are not signed in. Sign in first.")
	ErrAnotherUser = refusal(http.StatusForbidden, "factor_belongs_to_another_user",
		"This belongs to another account. Sign out first if you want to use that account.")
	ErrSequence = refusal(http.StatusForbidden, "primary_factor_required",
		"This cannot be used to start a session. Sign in another way first.")
	ErrSessionChanged = refusal(http.StatusConflict, "session_changed",
		"Your sign-in changed in another tab. Try again.")
	ErrTooManyAttempts = refusal(http.StatusTooManyRequests, "too_many_attempts",
		"There were too many wrong tries. Codes and passwords of this account are paused for an hour.")
	ErrFactorDisabled = refusal(http.StatusForbidden, "factor_disabled",
		"This was tried wrongly too often and is switched off. Use another way to sign in and set it up again.")
	ErrTooManyRequests = refusal(http.StatusTooManyRequests, "too_many_requests",
		"That was too often in a short time. Wait a little and try again.")
	ErrNotFound         = refusal(http.StatusNotFound, "not_found", "There is nothing here by that name.")
	ErrEmailNotVerified = refusal(http.StatusForbidden, "email_not_verified",
		"Confirm your e-mail address first: ask for an e-mail code and type it here.")
	ErrLastWayIn = refusal(http.StatusConflict, "last_primary_factor",
		"This is your only way to sign in. Add another one before you remove it.")
	ErrDuplicateEmail = refusal(http.StatusConflict, "duplicate_email",
		"This e-mail address is in your account already.")
	ErrEmailTaken = refusal(http.StatusConflict, "email_taken",
		"This e-mail address belongs to an account already.")
	ErrInvalidPhone = refusal(http.StatusBadRequest, "invalid_phone_number",
		"This is not a phone number that can get a code. Write it with the country code, like +44 20 7946 0018, without an extension.")
	ErrCountry = refusal(http.StatusBadRequest, "country_not_supported",
		"No messages are sent to this country. Use another number or another way.")
	ErrDuplicatePhone = refusal(http.StatusConflict, "duplicate_phone_number",
		"This phone number is in your account already.")
	ErrInvalidLinkCode = refusal(http.StatusBadRequest, "invalid_code",
		"The code that a link shows has eight letters and digits, like 4F7K-2M9P.")
	ErrLinkCodeIncorrect = refusal(http.StatusUnauthorized, "link_code_incorrect",
		"This code is not right. Open the newest link again and type the code that it shows.")
	ErrOtherBrowser = refusal(http.StatusForbidden, "other_browser",
		"This link works only in the browser that asked for it. Open it there, or type the code that it shows.")
	ErrNoBrowser = refusal(http.StatusBadRequest, "cookies_required",
		"Your browser did not keep a cookie of this site. Allow cookies for it and try again.")
	ErrKeyIncorrect = refusal(http.StatusUnauthorized, "webauthn_incorrect",
		"This passkey or security key was not accepted. Try again, or take another way.")
	ErrKeyExpired = refusal(http.StatusUnauthorized, "webauthn_expired",
		"This took too long or was answered already. Try again.")
	ErrKeyMalformed = refusal(http.StatusBadRequest, "invalid_credential",
		"The browser's answer could not be read. Reload the page and try again.")
	ErrKeyNotAccepted = refusal(http.StatusForbidden, "authenticator_not_accepted",
		"This model of passkey or security key is not accepted here. Use another one, or ask your administrator which.")
	ErrDuplicateKey = refusal(http.StatusConflict, "duplicate_webauthn_registration",
		"This passkey or security key is registered already.")
	ErrKeyNotFound = refusal(http.StatusNotFound, "webauthn_registration_not_found",
		"No passkey or security key of this account works on this site.")
	ErrKeyHost = refusal(http.StatusMisdirectedRequest, "webauthn_host",
		"Passkeys and security keys work only at an address with a name, not with a number. Open this site by its name.")
	ErrIdentityUnknown = refusal(http.StatusUnauthorized, "identity_not_linked",
		"This identity belongs to no account here. Sign in another way and connect it on your account page, or ask for an invitation.")
	ErrOAuthState = refusal(http.StatusBadRequest, "oauth_state_invalid",
		"This sign-in was started in another browser, took too long, or was finished already. Start again.")
	ErrOAuthRefused = refusal(http.StatusUnauthorized, "oauth_refused",
		"The identity provider's answer was not accepted. Start again; if it happens every time, tell your administrator.")
	ErrOAuthDenied = refusal(http.StatusUnauthorized, "oauth_denied",
		"The identity provider did not sign you in. Try again, or take another way.")
	ErrOAuthUnavailable = refusal(http.StatusBadGateway, "oauth_unavailable",
		"The identity provider cannot be reached right now. Try again in a moment, or take another way.")
	ErrInvalidWallet = refusal(http.StatusBadRequest, "invalid_wallet",
		"This is not the address of a wallet that is accepted here.")
	ErrWalletIncorrect = refusal(http.StatusUnauthorized, "wallet_signature_incorrect",
		"The wallet's signature was not accepted. Try again with the same wallet.")
	ErrWalletExpired = refusal(http.StatusUnauthorized, "wallet_challenge_expired",
		"This took too long or was answered already. Try again.")
	ErrWalletUnavailable = refusal(http.StatusBadGateway, "wallet_unavailable",
		"This wallet is a contract, and the chain cannot be asked about it right now. Try again in a moment, or take another way.")
	ErrLinkNotFound = refusal(http.StatusNotFound, "link_not_found",
		"This link is not valid any more. It may have been used, or it is too old. Ask for a new one.")
	ErrNotOffered = refusal(http.StatusNotFound, "factor_not_offered",
		"This way to sign in is not switched on here.")
	ErrTooMany    = refusal(http.StatusBadRequest, "too_many", "There are too many of these already.")
	ErrBreakGlass = refusal(http.StatusUnauthorized, "break_glass_incorrect",
		"This address and this code do not belong together, or the code was used already.")
	ErrNoAdministrator = refusal(http.StatusConflict, "not_an_administrator",
		"Break-glass codes are for administrators: put the user into the group “admins” first.")
	ErrForbidden = refusal(http.StatusForbidden, "forbidden",
		"Only administrators can do this. Ask one of them.")
	ErrAdminProof = refusal(http.StatusUnauthorized, "insufficient_factors",
		"Confirm it's you first: administration needs two different proofs, one of them from the last hour.")
	ErrLastAdministrator = refusal(http.StatusConflict, "last_administrator",
		"This is the last administrator. Put somebody else into the group “admins” first.")
	ErrInvalidGroup = refusal(http.StatusBadRequest, "invalid_group",
		"The name of a group has 1 to 100 characters, and no comma.")
	ErrInvalidClaims = refusal(http.StatusBadRequest, "invalid_claims",
		"These custom claims are not accepted: at most 50, of 2 KiB together, with names of letters, digits, _ . : / and -.")
	ErrNoOrigin = refusal(http.StatusMisdirectedRequest, "host_not_configured",
		"Links cannot be sent from this host name, because the configuration does not name it. Use the address that your administrator gave you.")
	ErrUnavailable = refusal(http.StatusServiceUnavailable, "store_unavailable",
		"The gateway cannot reach its store right now. Nothing was changed. Try again in a moment.")
)

// neededBy is the refusal to remove what rules need; nil when none does.
func neededBy(rules []string) error {
	if len(rules) == 0 {
		return nil
	}
	return refusal(http.StatusConflict, "factor_needed_by_rule",
		"Without this you could no longer open what these rules guard: "+strings.Join(rules, ", ")+". Set up another way first, or confirm that it should go.")
}

// WeakPassword is the refusal of a password that is too easy to guess.
func WeakPassword(why string) *Error { return refusal(http.StatusBadRequest, "weak_password", why) }

// changeText is what a change of factors asks for, as a requirement: a secure combination
// with one fresh factor, or only the latter for a user who cannot reach a combination.
func (e *Engine) changeRequirement(u *account.User, maxAge time.Duration) (*policy.Requirement, error) {
	fresh := fmt.Sprintf(`{"all_of":["signed_in"],"max_age":%q}`, maxAge)
	text := fresh
	if account.CanCombine(u) {
		text = `{"all_of":[{"factors":2},` + fresh + `]}`
	}
	return policy.ParseRequirement(text)
}

// asError turns whatever a lower layer returned into the answer for it. Anything unknown is
// a store that cannot be trusted, which refuses.
func asError(err error) error {
	var known *Error
	var budget *account.BudgetError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &budget):
		return with(ErrTooManyRequests, err, budget.RetryAfter)
	case errors.Is(err, account.ErrLocked):
		return with(ErrTooManyAttempts, err, 0)
	case errors.Is(err, account.ErrDisabled):
		return with(ErrFactorDisabled, err, 0)
	case errors.Is(err, account.ErrAddress):
		return with(ErrInvalidEmail, err, 0)
	case errors.Is(err, account.ErrPhone):
		return with(ErrInvalidPhone, err, 0)
	case errors.Is(err, account.ErrExists):
		return with(ErrAnotherUser, err, 0)
	case errors.Is(err, account.ErrEmailNotVerified), errors.Is(err, account.ErrUnreachable):
		return with(ErrEmailNotVerified, err, 0)
	case errors.Is(err, account.ErrLastWayIn):
		return with(ErrLastWayIn, err, 0)
	case errors.Is(err, account.ErrLastAdministrator):
		return with(ErrLastAdministrator, err, 0)
	case errors.Is(err, account.ErrGroup):
		return with(ErrInvalidGroup, err, 0)
	case errors.Is(err, account.ErrClaims):
		return with(ErrInvalidClaims, err, 0)
	case errors.Is(err, account.ErrTooMany):
		return with(ErrTooMany, err, 0)
	case errors.Is(err, store.ErrNotFound):
		return with(ErrNotFound, err, 0)
	case errors.Is(err, store.ErrConflict):
		return with(ErrSessionChanged, err, 0)
	}
	return with(ErrUnavailable, err, 0)
}

func with(e *Error, cause error, retry time.Duration) *Error {
	c := *e
	c.cause, c.RetryAfter = cause, retry
	return &c
}
