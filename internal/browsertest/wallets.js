(() => {
	const sign = (chain, text) => {
		if (!text.startsWith(location.host + ' wants you to sign in')) throw new Error('this text is of another site');
		return globalThis.askPurse(chain + ' ' + text);
	};
	const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));

	// EIP-1193, announced by EIP-6963.
	const provider = {
		async request({method, params}) {
			if (method === 'eth_requestAccounts') return ['ETHEREUM_ADDRESS'];
			if (method !== 'personal_sign' || params[1] !== 'ETHEREUM_ADDRESS') throw new Error(method);
			return '0x' + await sign('ethereum', new TextDecoder().decode(bytes(params[0].slice(2))));
		},
	};
	const info = {uuid: 'b6f1c8de-7a54-4a0e-9d58-1c2f3a4b5c6d', name: 'Test Ether Wallet', icon: 'data:image/svg+xml,', rdns: 'com.example.ether'};
	const announce = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', {detail: Object.freeze({info, provider})}));
	addEventListener('eip6963:requestProvider', announce);
	announce();

	// The Wallet Standard.
	const account = {address: 'SOLANA_ADDRESS', publicKey: new Uint8Array(32), chains: ['solana:mainnet'], features: ['solana:signMessage']};
	const wallet = {
		version: '1.0.0', name: 'Test Sun Wallet', icon: 'data:image/svg+xml,', chains: ['solana:mainnet'], accounts: [account],
		features: {
			'standard:connect': {version: '1.0.0', connect: async () => ({accounts: [account]})},
			'solana:signMessage': {
				version: '1.0.0',
				async signMessage({message}) {
					return [{signedMessage: message, signature: bytes(await sign('solana', new TextDecoder().decode(message)))}];
				},
			},
		},
	};
	const register = (api) => api.register(wallet);
	dispatchEvent(new CustomEvent('wallet-standard:register-wallet', {detail: register}));
	addEventListener('wallet-standard:app-ready', ({detail}) => register(detail));
})();
