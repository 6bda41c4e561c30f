// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: the shoal authors
'use strict';

// A device made of lwm2m-node-lib, driven by a test: one JSON object per line, commands on stdin, what happens
// on stdout. Arguments: host, port, endpoint, udp4 or udp6.

const readline = require('readline');
// NODE_PATH names the folder that holds it.
const lwm2m = require('lwm2m-node-lib');
const client = lwm2m.client;

const [host, port, endpoint, family] = process.argv.slice(2);

function tell(what, more) {
	process.stdout.write(JSON.stringify(Object.assign({ what }, more)) + '\n');
}

function failed(error) {
	tell('error', { message: String((error && error.message) || error) });
}

client.init({
	client: {
		lifetime: '300',
		version: '1.0',
		logLevel: 'FATAL',
		observe: { period: 3000 },
		ipProtocol: family,
		serverProtocol: family,
		formats: [{ name: 'lightweightm2m/text', value: 1541 }],
		writeFormat: 'lightweightm2m/text',
	},
});
require('logops').setLevel('FATAL');

let device;

function useHandlers() {
	client.setHandler(device.serverInfo, 'read', (object, instance, resource, value, done) => {
		tell('read', { path: `/${object}/${instance}/${resource}` });
		done(null, value);
	});
	client.setHandler(device.serverInfo, 'write', (object, instance, resource, value, done) => {
		tell('write', { path: `/${object}/${instance}/${resource}`, value: String(value) });
		done(null);
	});
	client.setHandler(device.serverInfo, 'execute', (object, instance, resource, value, done) => {
		tell('execute', { path: `/${object}/${instance}/${resource}`, value: String(value || '') });
		done(null);
	});
}

const commands = {
	create([uri]) {
		client.registry.create(uri, (error) => (error ? failed(error) : tell('created')));
	},
	set([uri, resource, value]) {
		client.registry.setResource(uri, resource, value, (error) => (error ? failed(error) : tell('set')));
	},
	register() {
		client.register(host, port, '', endpoint, (error, information) => {
			if (error) return failed(error);
			device = information;
			useHandlers();
			tell('registered', { location: device.location });
		});
	},
	unregister() {
		client.unregister(device, (error) => (error ? failed(error) : tell('unregistered')));
	},
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
	const [name, ...rest] = JSON.parse(line);
	commands[name](rest);
}).on('close', () => process.exit(0));
