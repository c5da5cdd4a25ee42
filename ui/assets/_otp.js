// Six-digit fields: pasted spaces and dashes go away, and six digits submit
// themselves once. A wrong code comes back as a new page, so there is no loop.
export function setUpCodes(root) {
	for (const input of root.querySelectorAll('input[data-digits]')) {
		const length = Number(input.dataset.digits);
		let sent = false;
		const clean = () => {
			const digits = input.value.normalize('NFKC').replace(/[^0-9]/g, '').slice(0, length);
			if (digits !== input.value) input.value = digits;
			return digits;
		};
		input.addEventListener('input', (event) => {
			if (event.isComposing) return;
			if (clean().length !== length || sent) return;
			sent = true;
			const button = input.form.querySelector('button.primary');
			input.form.requestSubmit(button);
		});
		input.form?.addEventListener('submit', clean);
		hint(input, length);
	}
}

// WCAG 3.2.2: people are told before a field acts by itself.
function hint(input, length) {
	const id = input.id + '-auto';
	const note = document.createElement('p');
	note.id = id;
	note.className = 'visually-hidden';
	note.textContent = `The form is sent as soon as all ${length} digits are there.`;
	input.after(note);
	input.setAttribute('aria-describedby', [input.getAttribute('aria-describedby'), id].filter(Boolean).join(' '));
}
