/* SPDX-License-Identifier: ISC */
/*
 * What thunderbird.py calls inside Thunderbird: the same services that its windows use.  Put before
 * every script; promises instead of listeners.
 */
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const mail3pane = Services.wm.getMostRecentWindow("mail:3pane");
const msgWindow = mail3pane ? mail3pane.msgWindow : null;

function wait(ms) {
	return new Promise(resolve => mail3pane.setTimeout(resolve, ms));
}

async function until(what, condition, ms = 30000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await condition();
		if (value) {
			return value;
		}
		if (Date.now() > end) {
			throw new Error(what + " did not come within " + ms + " ms");
		}
		await wait(20);
	}
}

/* A url listener and the promise of its end; a status other than 0 is a failure. */
function urlEnd() {
	const end = {};
	end.promise = new Promise((resolve, reject) => {
		end.listener = {
			QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
			OnStartRunningUrl() {},
			OnStopRunningUrl(url, status) {
				if (status) {
					reject(new Error("url ended with 0x" + status.toString(16)));
				} else {
					resolve();
				}
			},
		};
	});
	return end;
}

function copyEnd() {
	const end = {};
	end.promise = new Promise((resolve, reject) => {
		end.listener = {
			QueryInterface: ChromeUtils.generateQI(["nsIMsgCopyServiceListener"]),
			onStartCopy() {},
			onProgress() {},
			setMessageKey() {},
			getMessageId() {
				return null;
			},
			onStopCopy(status) {
				if (status) {
					reject(new Error("copy ended with 0x" + status.toString(16)));
				} else {
					resolve();
				}
			},
		};
	});
	return end;
}

function serverOf(key) {
	return MailServices.accounts.getIncomingServer(key);
}

function folderOf(key, path) {
	let folder = serverOf(key).rootFolder;
	for (const name of path.split("/")) {
		folder = folder.getChildNamed(name);
	}
	return folder;
}

/* getChildNamed throws for some and returns null for others. */
function folderIfThere(key, path) {
	try {
		return folderOf(key, path);
	} catch {
		return null;
	}
}

/* An update that IDLE has begun already takes no second listener: who waits then waits in vain. */
async function updateFolder(folder) {
	const end = urlEnd();
	folder.QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(msgWindow, end.listener);
	await Promise.race([end.promise, wait(5000)]);
}

async function discover(key) {
	const end = urlEnd();
	MailServices.imap.discoverAllFolders(serverOf(key).rootFolder, end.listener, msgWindow);
	await end.promise;
	return serverOf(key).rootFolder.descendants.map(f => f.name);
}

function headerOf(folder, subject) {
	return [...folder.messages].find(h => h.mime2DecodedSubject == subject) || null;
}

async function waitHeader(folder, subject) {
	return until("message '" + subject + "' in " + folder.name, () => headerOf(folder, subject));
}

/* The raw message as Thunderbird fetches it. */
function streamMessage(folder, header) {
	const uri = folder.getUriForMsg(header);
	return new Promise((resolve, reject) => {
		let text = "";
		MailServices.messageServiceFromURI(uri).streamMessage(uri, {
			QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
			onStartRequest() {},
			onDataAvailable(request, stream, offset, count) {
				const input = Cc["@mozilla.org/binaryinputstream;1"].createInstance(
					Ci.nsIBinaryInputStream);
				input.setInputStream(stream);
				text += input.readBytes(count);
			},
			onStopRequest(request, status) {
				if (status) {
					reject(new Error("stream ended with 0x" + status.toString(16)));
				} else {
					resolve(text);
				}
			},
		}, msgWindow, null, false, "", false);
	});
}

/* The message as the reader sees it: text and attachments with their decoded length. */
async function readMime(header) {
	const { MsgHdrToMimeMessage } = ChromeUtils.importESModule(
		"resource:///modules/gloda/MimeMessage.sys.mjs");
	const mime = await new Promise(resolve =>
		MsgHdrToMimeMessage(header, null, (h, m) => resolve(m), true, {}));
	return {
		text: mime.coerceBodyToPlaintext(header.folder),
		attachments: mime.allUserAttachments.map(
			a => ({ name: a.name, type: a.contentType, size: a.size, url: a.url })),
	};
}

/* Saves an attachment as the reader does and returns the octets of the file. */
async function saveAttachment(url, path) {
	const { NetUtil } = ChromeUtils.importESModule("resource://gre/modules/NetUtil.sys.mjs");
	return new Promise((resolve, reject) => {
		NetUtil.asyncFetch({ uri: url, loadUsingSystemPrincipal: true }, (stream, status) => {
			if (!Components.isSuccessCode(status)) {
				reject(new Error("attachment: 0x" + status.toString(16)));
				return;
			}
			const input = Cc["@mozilla.org/binaryinputstream;1"].createInstance(
				Ci.nsIBinaryInputStream);
			input.setInputStream(stream);
			const octets = new Uint8Array(input.readByteArray(input.available()));
			IOUtils.write(path, octets).then(() => resolve(octets.length), reject);
		});
	});
}

/* A compose window; fields: identity, to, subject, body, attachment, dsn, reply or forward. */
async function openCompose(fields) {
	const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(
		Ci.nsIMsgComposeParams);
	const compFields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(
		Ci.nsIMsgCompFields);
	params.identity = MailServices.accounts.getIdentity(fields.identity);
	params.format = Ci.nsIMsgCompFormat.PlainText;
	params.type = Ci.nsIMsgCompType.New;
	if (fields.reply) {
		params.type = Ci.nsIMsgCompType.Reply;
		params.originalMsgURI = fields.reply.folder.getUriForMsg(fields.reply);
		params.origMsgHdr = fields.reply;
	} else if (fields.forward) {
		params.type = Ci.nsIMsgCompType.ForwardInline;
		params.originalMsgURI = fields.forward.folder.getUriForMsg(fields.forward);
		params.origMsgHdr = fields.forward;
		compFields.to = fields.to;
	} else {
		compFields.to = fields.to;
		compFields.subject = fields.subject;
		compFields.body = fields.body;
	}
	if (fields.attachment) {
		const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
		file.initWithPath(fields.attachment);
		const attachment = Cc["@mozilla.org/messengercompose/attachment;1"].createInstance(
			Ci.nsIMsgAttachment);
		attachment.url = Services.io.newFileURI(file).spec;
		attachment.name = file.leafName;
		attachment.size = file.fileSize;
		compFields.addAttachment(attachment);
	}
	params.composeFields = compFields;
	MailServices.compose.OpenComposeWindowWithParams(null, params);
	const window = await until("the compose window",
		() => Services.wm.getMostRecentWindow("msgcompose"));
	await until("the editor", () => window.gMsgCompose && window.gMsgCompose.editor &&
		window.composeEditorReady !== false && window.document.readyState == "complete" &&
		window.gMsgCompose.compFields);
	await wait(1000);
	window.gMsgCompose.compFields.DSN = !!fields.dsn;
	return window;
}

async function sendNow(window) {
	window.goDoCommand("cmd_sendNow");
	await until("the end of sending", () => window.closed, 45000);
}

async function saveDraft(window) {
	const compose = window.gMsgCompose;
	const before = compose.compFields.draftId;
	window.goDoCommand("cmd_saveAsDraft");
	await until("the saved draft", () =>
		compose.compFields.draftId && compose.compFields.draftId != before &&
		!window.gSaveOperationInProgress);
}

async function closeCompose(window) {
	window.gContentChanged = false;
	window.gMsgCompose.bodyModified = false;
	window.close();
	await until("the closed window", () => window.closed);
}

function searchOnServer(folder, attribute, text) {
	const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(
		Ci.nsIMsgSearchSession);
	session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder);
	const term = session.createTerm();
	const value = term.value;
	term.attrib = attribute;
	value.attrib = attribute;
	value.str = text;
	term.value = value;
	term.op = Ci.nsMsgSearchOp.Contains;
	term.booleanAnd = true;
	session.appendTerm(term);
	return new Promise((resolve, reject) => {
		const found = [];
		session.registerListener({
			QueryInterface: ChromeUtils.generateQI(["nsIMsgSearchNotify"]),
			onNewSearch() {},
			onSearchHit(header) {
				found.push(header.mime2DecodedSubject);
			},
			onSearchDone(status) {
				if (status) {
					reject(new Error("search ended with 0x" + status.toString(16)));
				} else {
					resolve(found.sort());
				}
			},
		}, -1);
		session.search(msgWindow);
	});
}

/* The window of a question or an alert, alone or inside another window. */
function waitDialog() {
	return until("a dialog", () => {
		for (const w of Services.wm.getEnumerator(null)) {
			const frame = w.gDialogBox?.dialog?.frameContentWindow;
			for (const dialog of [w, frame]) {
				if (dialog?.document?.documentURI.includes("commonDialog") &&
					dialog.document.getElementById("infoBody")?.textContent) {
					return dialog;
				}
			}
		}
		return null;
	});
}

/* Presses a button ("accept", "cancel") and returns what the user has read. */
async function answerDialog(button) {
	const dialog = await waitDialog();
	const text = dialog.document.getElementById("infoBody").textContent;
	dialog.document.querySelector("dialog").getButton(button).click();
	await wait(1000);
	return text;
}

/* Makes the saved password of all logins of a scheme and a user another one. */
async function changePassword(scheme, host, user, password) {
	const origin = scheme + "://" + host;
	for (const login of await Services.logins.searchLoginsAsync({ origin })) {
		if (login.username == user) {
			const changed = login.clone();
			changed.password = password;
			await Services.logins.modifyLoginAsync(login, changed);
		}
	}
}

function openDialogs() {
	return [...Services.wm.getEnumerator(null)].map(w => w.document.documentURI).filter(
		u => u.includes("commonDialog") || u.includes("exceptionDialog"));
}
