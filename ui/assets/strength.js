// Tells while typing how good a new password is. The server has the last word.
import {call} from './_api.js';

for (const input of document.querySelectorAll('input[data-strength]')) {
	const box = document.getElementById(input.dataset.strength);
	const says = box.querySelector('[role=status]');
	const words = ['Far too easy to guess.', 'Too easy to guess.', 'Still a bit easy to guess.', 'Good.', 'Very good.'];
	let timer, running;
	input.addEventListener('input', () => {
		clearTimeout(timer);
		running?.abort();
		if (input.value === '') {
			box.hidden = true;
			return;
		}
		timer = setTimeout(check, 300);
	});
	async function check() {
		running = new AbortController();
		const form = input.form;
		const email = form.elements.namedItem('email')?.value || form.elements.namedItem('username')?.value;
		try {
			const r = await call('passwords/strength_check', {password: input.value, ...(email && {email})}, running.signal);
			const score = Math.max(0, Math.min(4, Number(r.score) || 0));
			const feedback = typeof r.feedback === 'string' ? r.feedback : [r.feedback?.warning, ...(r.feedback?.suggestions ?? [])].filter(Boolean).join(' ');
			box.hidden = false;
			box.dataset.score = r.valid === false && score > 2 ? 2 : score;
			says.textContent = r.valid === false && feedback ? feedback : [words[score], feedback].filter(Boolean).join(' ');
		} catch (error) {
			// Without an answer there is no meter; the form still works.
			if (error.name !== 'AbortError') box.hidden = true;
		}
	}
}
