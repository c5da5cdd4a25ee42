// Stepgate for apps and SPAs behind the gateway. No dependencies.
//
//   import {session, fetch} from '/.stepgate/assets/stepgate.js';
//   const who = await session();               // the session, or null
//   const r = await fetch('/orders/7', {method: 'DELETE'});
//
// fetch() takes and answers what the browser's own fetch does. When the gateway
// answers that a sign-in or one more proof is needed, it opens the challenge in
// a window of its own, waits until it is done, and sends the request again.
// Such an answer means that the app has not seen the request: sending it again
// does nothing twice. When the person gives up, the gateway's answer (401) is
// returned as it is.
//
// Options, as third argument: {mode: 'window' | 'navigate' | 'none', signal}.
// 'navigate' leaves the page for the challenge; 'none' only answers the 401.

const api = '/.stepgate/api/v1/';

// session answers the Session of the visitor, or null without one.
export async function session() {
	const answer = await globalThis.fetch(api + 'session', {headers: {Accept: 'application/json'}, credentials: 'same-origin', cache: 'no-store'});
	if (answer.status === 401) return null;
	if (!answer.ok) throw new Error(`stepgate: session: ${answer.status}`);
	return (await answer.json()).session;
}

let waiting; // the challenge that is open now; requests that need one share it

export async function fetch(input, init, {mode = 'window', signal} = {}) {
	const request = new Request(input, init);
	const spare = request.clone();
	const answer = await globalThis.fetch(request);
	const url = await challengeOf(answer);
	if (!url || mode === 'none') return answer;
	if (mode === 'navigate') {
		location.assign(url);
		return new Promise(() => {}); // the page is being left
	}
	const stop = AbortSignal.any([request.signal, ...(signal ? [signal] : [])]);
	waiting ??= challenge(url).finally(() => { waiting = undefined; });
	const passed = await Promise.race([waiting, aborted(stop)]);
	if (stop.aborted) throw stop.reason;
	return passed ? globalThis.fetch(spare) : answer;
}

function aborted(signal) {
	return new Promise((resolve) => {
		if (signal.aborted) resolve(false);
		signal.addEventListener('abort', () => resolve(false), {once: true});
	});
}

// challengeOf is the address of the challenge that an answer asks for, or null.
async function challengeOf(answer) {
	if (answer.status !== 401 || !/^(sign_in|step_up)$/.test(answer.headers.get('Stepgate-Response') ?? '')) return null;
	try {
		const problem = await answer.clone().json();
		const url = new URL(problem.challenge_url, location.href);
		return /^https?:$/.test(url.protocol) && url.pathname.startsWith('/.stepgate/') ? url : null;
	} catch {
		return null;
	}
}

// challenge opens the challenge and answers true when it is done, false when
// the person gives up. A small dialog in the page offers the window again,
// because browsers open windows only on a click.
async function challenge(url) {
	url.searchParams.set('window', '1');
	const flow = url.searchParams.get('flow');
	const features = `popup,width=520,height=720,left=${Math.max(0, Math.round(screenX + (outerWidth - 520) / 2))},top=${Math.max(0, Math.round(screenY + 60))}`;
	const openWindow = () => window.open(url, 'stepgate', features);
	const channel = new BroadcastChannel('stepgate');
	const ui = dialog(openWindow);
	let timer;
	try {
		openWindow();
		return await new Promise((resolve) => {
			ui.cancelled(() => resolve(false));
			channel.onmessage = (event) => {
				if (event.data?.type === 'done' && event.data.flow === flow) resolve(true);
			};
			// The window may be on the portal's own host, where no channel reaches.
			const look = async () => {
				if (await finished(flow)) resolve(true);
				else timer = setTimeout(look, 2000);
			};
			timer = setTimeout(look, 2000);
		});
	} finally {
		clearTimeout(timer);
		channel.close();
		ui.close();
	}
}

async function finished(flow) {
	if (!flow) return false;
	try {
		const answer = await globalThis.fetch(api + 'flows/' + encodeURIComponent(flow), {credentials: 'same-origin', cache: 'no-store'});
		if (answer.status === 404) return true; // over: the request itself tells how it ended
		return answer.ok && (await answer.json()).satisfied === true;
	} catch {
		return false;
	}
}

const looks = `
dialog{box-sizing:border-box;width:min(24rem,calc(100vw - 2rem));padding:1.5rem;border:1px solid #8884;border-radius:18px;font:1rem/1.5 system-ui,sans-serif;color:CanvasText;background:Canvas;color-scheme:light dark;box-shadow:0 24px 64px -24px #000a}
dialog::backdrop{background:#0008}
h2{margin:0 0 .25rem;font-size:1.2rem}p{margin:0 0 1.25rem;opacity:.8}
div{display:flex;flex-wrap:wrap;gap:.75rem}
button{flex:1;min-height:2.75rem;padding:.4rem 1rem;border-radius:10px;border:1px solid #8888;font:600 1rem system-ui,sans-serif;cursor:pointer;color:inherit;background:transparent}
button:first-child{background:#3b4cca;border-color:#3b4cca;color:#fff}`;

function dialog(openWindow) {
	const host = document.createElement('div');
	const root = host.attachShadow({mode: 'closed'});
	const sheet = new CSSStyleSheet();
	sheet.replaceSync(looks);
	root.adoptedStyleSheets = [sheet];
	const make = (name, text, ...children) => {
		const e = document.createElement(name);
		e.append(text, ...children);
		return e;
	};
	const title = make('h2', 'Confirm it’s you');
	const open = make('button', 'Open the window');
	const cancel = make('button', 'Cancel');
	open.type = cancel.type = 'button';
	const box = make('dialog', '', title, make('p', 'A window has opened for it. When you are done there, this page goes on by itself.'), make('div', '', open, cancel));
	title.id = 'title';
	box.setAttribute('aria-labelledby', 'title');
	root.append(box);
	document.body.append(host);
	open.addEventListener('click', openWindow);
	box.showModal();
	return {
		cancelled(act) {
			cancel.addEventListener('click', act);
			box.addEventListener('cancel', act);
		},
		close() {
			host.remove();
		},
	};
}
