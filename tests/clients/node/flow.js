// One recipient's day by Twilio's own client for Node.js. The test on the other side texts STOP and
// START when this prints so, and answers with a line.
const readline = require("readline");
const twilio = require("twilio");

const { OPTOUT_API, ACCOUNT_SID, AUTH_TOKEN, SENDER, RECIPIENT } = process.env;
const client = twilio(ACCOUNT_SID, AUTH_TOKEN);
for (const domain of ["api", "messaging", "accounts"]) client[domain].baseUrl = OPTOUT_API;

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(word) {
  console.log(word);
  const { value } = await lines.next();
  if (value !== "done") throw new Error(`answered ${value}`);
}

async function send(serviceSid) {
  const message = await client.messages.create({
    to: RECIPIENT,
    messagingServiceSid: serviceSid,
    body: "Your appointment is tomorrow.",
  });
  if (message.status !== "accepted") throw new Error(`created as ${message.status}`);
  return message.sid;
}

async function becomes(sid, status) {
  for (let tries = 0; tries < 600; tries++) {
    const message = await client.messages(sid).fetch();
    if (message.status === status) return message;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${sid} did not become ${status}`);
}

async function main() {
  const number = await client.incomingPhoneNumbers.create({ phoneNumber: SENDER });
  const service = await client.messaging.v1.services.create({ friendlyName: "From Node" });
  const pool = client.messaging.v1.services(service.sid).phoneNumbers;
  await pool.create({ phoneNumberSid: number.sid });
  const [pooled] = await pool.list();
  if (pooled.phoneNumber !== SENDER) throw new Error("the number is not in the pool");

  await ask("STOP");
  const refused = await becomes(await send(service.sid), "failed");
  if (refused.errorCode !== 21610) throw new Error(`failed with ${refused.errorCode}`);
  await ask("START");
  const allowed = await send(service.sid);
  await ask("SENT");
  await becomes(allowed, "sent");
  const listed = await client.messages.list({ to: RECIPIENT });
  if (listed.length !== 2) throw new Error(`${listed.length} messages listed`);
  if (!(await client.messaging.v1.services(service.sid).remove())) throw new Error("not removed");
  try {
    await client.messaging.v1.services(service.sid).fetch();
    throw new Error("a removed service is still there");
  } catch (error) {
    if (error.code !== 20404 || error.status !== 404) throw error;
  }
  console.log("OK");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
