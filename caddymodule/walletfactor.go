package caddymodule

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/internal/flow"
)

func init() { caddy.RegisterModule(&CryptoWalletFactor{}) }

// CryptoWalletFactor offers crypto wallets: Ethereum by EIP-4361, and Solana likewise.
type CryptoWalletFactor struct {
	// Chains lists the blockchains whose wallets are accepted: ethereum, solana.
	// Default: both.
	Chains []string `json:"chains,omitempty"`
	// RPC is the JSON-RPC endpoint of an Ethereum node. With it, wallets that are contracts are
	// accepted too (EIP-1271): the node is asked for each signature, so it must be yours.
	// Placeholders {file.*} and {env.*} are read at load.
	// Default: none; then contract wallets are refused.
	RPC string `json:"rpc,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*CryptoWalletFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.crypto_wallet", New: func() caddy.Module { return new(CryptoWalletFactor) }}
}

func (f *CryptoWalletFactor) chains() ([]wallet.Chain, error) {
	if len(f.Chains) == 0 {
		return []wallet.Chain{wallet.Ethereum, wallet.Solana}, nil
	}
	var out []wallet.Chain
	for _, name := range f.Chains {
		chain := wallet.Chain(name)
		if chain != wallet.Ethereum && chain != wallet.Solana {
			return nil, fmt.Errorf("crypto_wallet: unknown chain %q; expected ethereum or solana", name)
		}
		if slices.Contains(out, chain) {
			return nil, fmt.Errorf("crypto_wallet: chain %s is given twice", name)
		}
		out = append(out, chain)
	}
	return out, nil
}

func (f *CryptoWalletFactor) apply(a *App, o *flow.Options) (err error) {
	if o.Chains, err = f.chains(); err != nil || f.RPC == "" {
		return err
	}
	var endpoint string
	if err := resolve(setting{"rpc", f.RPC, &endpoint}); err != nil {
		return err
	}
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("crypto_wallet: rpc is no http address")
	}
	a.contracts = wallet.NewRPC(endpoint)
	return nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	crypto_wallet [ethereum] [solana] {
//		rpc <url>
//	}
func (f *CryptoWalletFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	f.Chains = d.RemainingArgs()
	if _, err := f.chains(); err != nil {
		return d.Err(err.Error())
	}
	return readOptions(d, "rpc", func(option string) (bool, error) {
		if option != "rpc" {
			return false, nil
		}
		return true, oneArg(d, &f.RPC)
	})
}

// Interface guards.
var (
	_ FactorGuest           = (*CryptoWalletFactor)(nil)
	_ caddyfile.Unmarshaler = (*CryptoWalletFactor)(nil)
)
