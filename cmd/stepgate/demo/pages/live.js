const clock = document.getElementById("clock");
const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
socket.onmessage = (event) => { clock.textContent = event.data; };
socket.onclose = () => { clock.textContent = "The connection was ended."; };
