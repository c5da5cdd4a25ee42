// Tells the page that opened this window that the challenge is over.
const {done} = document.querySelector('[data-done]').dataset;
const channel = new BroadcastChannel('stepgate');
channel.postMessage({type: 'done', flow: done});
channel.close();
close();
