// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: the shoal authors
'use strict';

// A LwM2M device written on the npm package coap: registers, and answers from a table of resources. Its answers to
// /3303 take longer than the package waits before it acknowledges, so that they are separate responses.
// Arguments: host, port, endpoint, udp4 or udp6. One JSON object per line on stdout.

const dgram = require('dgram');

// NODE_PATH names the folder that holds it.
const coap = require('coap');

const [host, port, endpoint, type] = process.argv.slice(2);

const SLOW_MS = 400;

const resources = {
	'/3/0/0': 'shoal interop',
	'/3/0/9': '87',
	'/3303/0/5700': '21.5',
};

function tell(what, more) {
	process.stdout.write(JSON.stringify(Object.assign({ what }, more)) + '\n');
}

function answer(request, response) {
	const url = request.url.split('?')[0];
	const value = resources[url];
	tell('request', { method: request.method, url, payload: request.payload.toString() });
	if (request.method === 'POST') {
		response.code = url === '/3/0/4' ? '2.04' : '4.05';
		return response.end();
	}
	if (value === undefined) {
		response.code = '4.04';
		return response.end();
	}
	if (request.method === 'PUT') {
		resources[url] = request.payload.toString();
		response.code = '2.04';
		return response.end();
	}
	response.code = '2.05';
	response.setOption('Content-Format', 'text/plain');
	return response.end(value);
}

const socket = dgram.createSocket(type);
socket.bind(0, type === 'udp6' ? '::1' : '127.0.0.1', () => {
	const server = coap.createServer({ type, piggybackReplyMs: 100 }, (request, response) => {
		const slow = request.url.startsWith('/3303');
		setTimeout(() => answer(request, response), slow ? SLOW_MS : 0);
	});
	server.listen(socket);

	const agent = new coap.Agent({ type, socket });
	const register = coap.request({
		agent,
		host,
		port: Number(port),
		method: 'POST',
		pathname: '/rd',
		query: `ep=${endpoint}&lt=300&lwm2m=1.1&b=U`,
	});
	register.setOption('Content-Format', 'application/link-format');
	register.on('response', (response) => {
		const location = response.options.filter((o) => o.name === 'Location-Path').map((o) => String(o.value));
		tell('registered', { code: response.code, location: '/' + location.join('/') });
	});
	register.on('error', (error) => tell('error', { message: error.message }));
	register.end('</1/0>,</3/0>,</3303/0>');
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
