// Signing with a wallet that lives in the browser: Ethereum by EIP-6963,
// Solana by the Wallet Standard. The server makes the text that is signed.
import {call, flowOf} from './_api.js';
import {base58} from './_base58.js';

const box = document.querySelector('[data-wallet]');
const list = box.querySelector('[data-wallet-list]');
const problem = box.querySelector('[data-wallet-problem]');
const done = document.querySelector('form[data-wallet-done]');
const chain = box.dataset.chain; // "ethereum", "solana" or both when empty

function offer(name, act) {
	for (const note of box.querySelectorAll('[data-wallet-unsupported]')) note.hidden = true;
	const button = document.createElement('button');
	button.type = 'button';
	button.className = 'choice';
	button.append(String(name).slice(0, 60));
	button.addEventListener('click', async () => {
		problem.hidden = true;
		button.disabled = true;
		try {
			await act();
			done.requestSubmit();
		} catch (error) {
			problem.hidden = false;
			problem.textContent = error.problem ? error.message : 'The wallet did not sign. Try again or take another way.';
		} finally {
			button.disabled = false;
		}
	});
	list.append(button);
}

async function prove(type, address, sign) {
	const flow = flowOf(done);
	const {challenge} = await call('crypto_wallets/authenticate/start', {flow, crypto_wallet_type: type, crypto_wallet_address: address});
	const signature = await sign(challenge);
	await call('crypto_wallets/authenticate', {flow, crypto_wallet_type: type, crypto_wallet_address: address, signature});
}

const hex = (text) => '0x' + [...new TextEncoder().encode(text)].map((b) => b.toString(16).padStart(2, '0')).join('');

if (chain !== 'solana') {
	const seen = new Set();
	addEventListener('eip6963:announceProvider', ({detail}) => {
		if (!detail?.info || seen.has(detail.info.uuid)) return;
		seen.add(detail.info.uuid);
		offer(detail.info.name, async () => {
			const [address] = await detail.provider.request({method: 'eth_requestAccounts'});
			await prove('ethereum', address, (text) => detail.provider.request({method: 'personal_sign', params: [hex(text), address]}));
		});
	});
	dispatchEvent(new Event('eip6963:requestProvider'));
}

if (chain !== 'ethereum') {
	const register = (...wallets) => {
		for (const wallet of wallets) {
			if (!wallet.features?.['solana:signMessage'] || !wallet.features?.['standard:connect']) continue;
			offer(wallet.name, async () => {
				const {accounts} = await wallet.features['standard:connect'].connect();
				const account = accounts[0];
				await prove('solana', account.address, async (text) => {
					const [signed] = await wallet.features['solana:signMessage'].signMessage({account, message: new TextEncoder().encode(text)});
					return base58(signed.signature);
				});
			});
		}
		return () => {};
	};
	addEventListener('wallet-standard:register-wallet', ({detail}) => detail({register}));
	dispatchEvent(new CustomEvent('wallet-standard:app-ready', {detail: {register}}));
}
