/** An agent's status socket in a state directory that is none of its own, and how often it was asked there. */
'use strict';

const net = require('node:net');
const path = require('node:path');

class Asked {
    questions = 0;
    #open = new Set();

    /**
     * @param {string} state the directory in which `agent.sock` is made
     * @param {string | (() => string | object)} answers the socket of a real agent, or what is answered: a line, or a status
     */
    static async at(state, answers) {
        const asked = new Asked();
        asked.server = net.createServer(stream => asked.#take(stream, answers));
        await new Promise((resolve, reject) => asked.server.on('error', reject).listen(path.join(state, 'agent.sock'), resolve));
        return asked;
    }

    #take(stream, answers) {
        this.questions += 1;
        this.#open.add(stream);
        stream.on('error', () => {}).on('close', () => this.#open.delete(stream));
        if (typeof answers === 'string') {
            const agent = net.connect(answers);
            agent.on('error', () => stream.destroy());
            stream.pipe(agent).pipe(stream);
            return;
        }
        stream.once('data', () => {
            const answer = answers();
            stream.end(typeof answer === 'string' ? answer : `${JSON.stringify({ status: answer })}\n`);
        });
    }

    async stop() {
        this.#open.forEach(stream => stream.destroy());
        await new Promise(resolve => this.server.close(resolve));
    }
}

module.exports = { Asked };
