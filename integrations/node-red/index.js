/**
 * The plugin as Node-RED loads it: joins the runtime's events to a {@link Keeper} and unloads without a trace.
 *
 * It needs no flow and no editor. What it does to a broker is in `lib/swap.js`, when in `lib/keeper.js`.
 */
'use strict';

const { Keeper } = require('./lib/keeper');
const { Report } = require('./lib/report');
const settingsOf = require('./lib/settings');

/** Where the report is served below `httpAdminRoot`, if the Admin API is on. */
const ROUTE = '/fleetkey/connections';

module.exports = function fleetkey(RED) {
    const settings = settingsOf(RED.settings);
    const report = new Report(settings.report, RED.version());
    const keeper = new Keeper(RED, settings, report);
    const started = () => keeper.start();
    const stopping = () => keeper.stop();
    let served = true;

    if (RED.httpAdmin && RED.httpAdmin.get) {
        // A route cannot be taken back from a running server, so it asks whether the plugin is still there.
        RED.httpAdmin.get(ROUTE, RED.auth.needsPermission('fleetkey.read'), (request, response) => {
            if (served) {
                response.json(report.content());
            } else {
                response.sendStatus(404);
            }
        });
    }
    RED.plugins.registerPlugin('fleetkey', {
        type: 'fleetkey-rotation',
        onadd() {
            RED.events.on('flows:started', started);
            RED.events.on('flows:stopping', stopping);
            // Installed into a Node-RED that runs already: its flows will not start again for us.
            keeper.startIfFlowsRun();
        },
        onremove() {
            served = false;
            RED.events.removeListener('flows:started', started);
            RED.events.removeListener('flows:stopping', stopping);
            keeper.stop();
            report.remove();
        },
    });
};
