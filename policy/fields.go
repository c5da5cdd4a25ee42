package policy

import (
	"errors"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// This file says which fields the objects of expressions have. The objects are Go values as
// they are; a field is a function that reads one.

// Objects have names that no expression can write, or that are variables: none can be made up.
var (
	requestType = types.NewObjectType("request")
	userType    = types.NewObjectType("user")
	sessionType = types.NewObjectType("session")
	factorType  = types.NewObjectType("authentication factor")
	listsType   = cel.MapType(cel.StringType, cel.ListType(cel.StringType))
	claimsType  = cel.MapType(cel.StringType, cel.DynType)
)

type fields map[string]*types.FieldType

// field is a field that is always there.
func field[T any](t *cel.Type, get func(T) (ref.Val, error)) *types.FieldType {
	return &types.FieldType{
		Type:  t,
		IsSet: func(any) bool { return true },
		GetFrom: func(object any) (any, error) {
			o, ok := object.(T)
			if !ok {
				return nil, errNoObject
			}
			return get(o)
		},
	}
}

var (
	errNoObject  = errors.New("the field belongs to another object")
	errUnknownIP = errors.New("the client's address is unknown")
	errTooLong   = errors.New("a text of the request is too long for a condition")
	errTooMany   = errors.New("the request has too many keys or values for a condition")
)

// The largest request that conditions read. The estimated cost of an expression rests on it.
const (
	maxText    = 8192
	maxEntries = 100
)

// bounded is a text of the request.
func bounded(s string) (ref.Val, error) {
	if len(s) > maxText {
		return nil, errTooLong
	}
	return types.String(s), nil
}

func text(s string) (ref.Val, error)       { return types.String(s), nil }
func truth(b bool) (ref.Val, error)        { return types.Bool(b), nil }
func moment(t time.Time) (ref.Val, error)  { return types.Timestamp{Time: t.UTC()}, nil }
func texts(list []string) (ref.Val, error) { return types.NewStringList(adapter, list), nil }

var adapter = types.DefaultTypeAdapter

var requestFields = fields{
	"host":   field(cel.StringType, func(v *requestView) (ref.Val, error) { return bounded(v.request.Host) }),
	"path":   field(cel.StringType, func(v *requestView) (ref.Val, error) { return bounded(v.request.Path) }),
	"method": field(cel.StringType, func(v *requestView) (ref.Val, error) { return bounded(v.request.Method) }),
	"client_ip": field(cel.StringType, func(v *requestView) (ref.Val, error) {
		if !v.request.ClientIP.IsValid() {
			return nil, errUnknownIP
		}
		return text(v.request.ClientIP.Unmap().WithZone("").String())
	}),
	"query": field(listsType, func(v *requestView) (ref.Val, error) {
		if v.query == nil {
			q, err := newQuery(v.request.RawQuery)
			if err != nil {
				return nil, err
			}
			v.query = q
		}
		return v.query, nil
	}),
	"raw_query": field(cel.StringType, func(v *requestView) (ref.Val, error) { return bounded(v.request.RawQuery) }),
	"headers":   field(listsType, func(v *requestView) (ref.Val, error) { return newHeaders(v.request.Header) }),
}

var userFields = fields{
	"id":            field(cel.StringType, func(v *userView) (ref.Val, error) { return text(v.subject.ID) }),
	"email":         field(cel.StringType, func(v *userView) (ref.Val, error) { return text(v.subject.Email) }),
	"name":          field(cel.StringType, func(v *userView) (ref.Val, error) { return text(v.subject.Name) }),
	"groups":        field(cel.ListType(cel.StringType), func(v *userView) (ref.Val, error) { return texts(v.subject.Groups) }),
	"custom_claims": field(claimsType, func(v *userView) (ref.Val, error) { return adapter.NativeToValue(claims(v.subject)), nil }),
}

var sessionFields = fields{
	"started_at":             field(cel.TimestampType, func(v *sessionView) (ref.Val, error) { return moment(v.subject.StartedAt) }),
	"authentication_factors": field(cel.ListType(factorType), func(v *sessionView) (ref.Val, error) { return factorList(v.subject.Factors), nil }),
}
