// Base58 with Bitcoin's alphabet, as Solana writes signatures.
const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export function base58(bytes) {
	let zeros = 0;
	while (zeros < bytes.length && bytes[zeros] === 0) zeros++;
	let number = 0n;
	for (const b of bytes) number = number * 256n + BigInt(b);
	let text = '';
	for (; number > 0n; number /= 58n) text = alphabet[Number(number % 58n)] + text;
	return '1'.repeat(zeros) + text;
}
