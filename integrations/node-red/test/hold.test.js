/** What waits while a connection is replaced, told without a broker. */
'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { test } = require('node:test');

const { Hold } = require('../lib/hold');

/** As much of an mqtt-broker node as a hold touches. */
function brokerNode() {
    const client = Object.assign(new EventEmitter(), { connected: true });
    const node = { client, connected: true, clientListeners: [], sent: [], errors: [], closed: 0, disconnects: 0 };
    node.publish = (message, done) => {
        node.sent.push(message.payload);
        done?.();
    };
    node.disconnect = callback => {
        node.disconnects += 1;
        callback?.();
    };
    node.error = error => node.errors.push(error.message);
    const handler = () => { node.closed += 1; };
    node.clientListeners.push({ event: 'close', handler });
    client.on('close', handler);
    return node;
}

/** A message, and what became of it. */
function message(payload, fates) {
    return [{ payload }, error => fates.push(error ? error.message : payload)];
}

test('what waited is sent in order, once the client is connected again', () => {
    const node = brokerNode();
    const { publish, disconnect } = node;
    const fates = [];
    const hold = new Hold(node, 10);
    node.publish(...message('a', fates));
    node.publish(...message('b', fates));
    assert.deepEqual(node.sent, []);
    hold.release();
    assert.deepEqual(node.sent, ['a', 'b']);
    assert.deepEqual(fates, ['a', 'b']);
    assert.equal(node.publish, publish);
    assert.equal(node.disconnect, disconnect);
});

test('a birth message goes first', () => {
    const node = brokerNode();
    node.birthMessage = { payload: 'birth' };
    const hold = new Hold(node, 10);
    node.publish({ payload: 'a' });
    node.publish(node.birthMessage);
    hold.release();
    assert.deepEqual(node.sent, ['birth', 'a']);
});

test('a message too many is refused with an error, and the others still go', () => {
    const node = brokerNode();
    const fates = [];
    const hold = new Hold(node, 1);
    node.publish(...message('a', fates));
    node.publish(...message('b', fates));
    node.publish({ payload: 'c' });
    hold.release();
    assert.deepEqual(node.sent, ['a']);
    assert.match(fates[0], /more than 1 messages waited/);
    assert.match(node.errors[0], /more than 1 messages waited/);
    assert.equal(hold.refused, 2);
});

test('Node-RED does not see the close that was meant, and sees the next one', () => {
    const node = brokerNode();
    const hold = new Hold(node, 10);
    node.client.emit('close');
    assert.equal(node.closed, 0);
    hold.release();
    node.client.emit('close');
    assert.equal(node.closed, 1);
});

test('a connection that is lost after all is told, and what waited is refused', () => {
    const node = brokerNode();
    const fates = [];
    const hold = new Hold(node, 10);
    node.publish(...message('a', fates));
    node.client.connected = false;
    hold.release();
    assert.equal(node.closed, 1);
    assert.deepEqual(node.sent, []);
    assert.match(fates[0], /could not be reached again/);
});

test('whoever disconnects the broker meanwhile is not kept waiting', () => {
    const node = brokerNode();
    const fates = [];
    const hold = new Hold(node, 10);
    node.publish(...message('a', fates));
    node.client.connected = false;
    let told = false;
    node.disconnect(() => { told = true; });
    assert.ok(told && hold.interrupted);
    assert.equal(node.disconnects, 1);
    assert.equal(node.connected, false, 'its last words would wait for a connection that nobody makes');
    assert.match(fates[0], /was disconnected/);
    hold.release();
    assert.deepEqual(node.sent, []);
});
