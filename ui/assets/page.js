// What every page gains with JavaScript. Nothing here is needed to use a page.
import {setUpCodes} from './_otp.js';
import {setUpCopying} from './_copy.js';

// Buttons that show a password.
for (const button of document.querySelectorAll('[data-reveal]')) {
	const input = document.getElementById(button.dataset.reveal);
	if (!input) continue;
	const show = (on) => {
		input.type = on ? 'text' : 'password';
		button.textContent = on ? 'Hide' : 'Show';
		button.setAttribute('aria-pressed', String(on));
	};
	button.hidden = false;
	button.addEventListener('click', () => show(input.type === 'password'));
	// Password managers and browser history must see a password field.
	input.form?.addEventListener('submit', () => show(false));
}

// A form is sent once. Coming back by the history makes it usable again, and so
// does waiting, for people who stopped the loading.
for (const form of document.querySelectorAll('form[method=post]')) {
	form.addEventListener('submit', (event) => {
		if (form.dataset.sent) {
			event.preventDefault();
			return;
		}
		form.dataset.sent = '1';
		form.setAttribute('aria-busy', 'true');
		setTimeout(() => free(form), 10000);
	});
}
function free(form) {
	delete form.dataset.sent;
	form.removeAttribute('aria-busy');
}
addEventListener('pageshow', () => document.querySelectorAll('form[data-sent]').forEach(free));

// A button of the sign-in form that needs the e-mail address and no password.
for (const button of document.querySelectorAll('button[data-only]')) {
	button.addEventListener('click', (event) => {
		const form = button.form;
		const needed = form.elements.namedItem(button.dataset.only);
		button.formNoValidate = true;
		if (needed && !needed.checkValidity()) {
			event.preventDefault();
			needed.reportValidity();
		}
	});
}

function words(seconds) {
	const [n, unit] = seconds < 90 ? [seconds, 'second'] : seconds < 3570 ? [Math.round(seconds / 60), 'minute'] : [Math.round(seconds / 3600), 'hour'];
	return `${n} ${unit}${n === 1 ? '' : 's'}`;
}

// Codes run out: say so in time, and offer a new one where the form offers it.
for (const line of document.querySelectorAll('[data-expires]')) {
	const text = line.querySelector('span');
	const end = Date.now() + Number(line.dataset.expires) * 1000;
	const tick = () => {
		const left = Math.ceil((end - Date.now()) / 1000);
		if (left <= 0) {
			text.textContent = line.dataset.over;
			line.classList.add('over');
			line.setAttribute('role', 'alert');
			return;
		}
		text.textContent = `The ${line.dataset.noun} works for ${words(left)}.`;
		setTimeout(tick, left > 90 ? 5000 : 1000);
	};
	tick();
}
for (const button of document.querySelectorAll('button[data-wait]')) {
	const end = Date.now() + Number(button.dataset.wait) * 1000;
	const plain = button.textContent;
	const tick = () => {
		const left = Math.ceil((end - Date.now()) / 1000);
		button.disabled = left > 0;
		button.textContent = left > 0 ? `${plain} (in ${left} s)` : plain;
		if (left > 0) setTimeout(tick, 1000);
	};
	tick();
}

setUpCodes(document);
setUpCopying(document);
