"""Constants of the phone's protocol. Both ends share them: the client, and the emulator in `streamer.emulator`.

Only names and numbers stand here, no logic: a parser used on both sides would hide its own faults.
Standings ([doc], [seen], [assumed]) are explained in docs/architecture.md.
"""

from typing import Final

AUTH_PATH: Final = "/v1/instances/{instance_id}/auth"  # [doc] POST
PREPARE_PATH: Final = "/v1/instances/prepare"  # [doc] POST, user_id and instance_ids
PROGRESS_PATH: Final = "/v1/instances/prepare-progress"  # [doc] POST, user_id and instance_id
STOP_PATH: Final = "/v1/instances/streaming/stop"  # [doc] POST, instance_id
RELEASE_PATH: Final = "/v1/instances/session/release"  # [doc] POST, instance_id
SYNC_COMMAND_PATH: Final = "/v1/instances/sync-command"  # [doc] POST, command and instance_ids
ASYNC_COMMAND_PATH: Final = "/v1/instances/async-command"  # [doc] POST, as above; answers with a task
TASK_PATH: Final = "/v1/instances/tasks/{task_id}"  # [doc] GET
APP_LIST_PATH: Final = "/v1/instances/{instance_id}/app-list"  # [doc] GET, page_no, page_size and app_type
INSTALL_PATH: Final = "/v1/instances/app/install"  # [doc] POST, instance_id_list and what to install
QUERY_STATUS_PATH: Final = "/v1/instances/batch-query-status"  # [doc] POST, instance_ids
QUERY_PATH: Final = "/v1/instances/batch-query"  # [doc] GET, page_no, page_size and filters
REBOOT_PATH: Final = "/v1/instances/reboot"  # [doc] POST, instance_ids
RESET_PATH: Final = "/v1/instances/batch-reset"  # [doc] POST, instance_ids
VIDEO_SETTING_PATH: Final = "/v1/instances/video-setting"  # [doc] PUT, instance_ids and instance_settings
TASK_RUNNING: Final = 1  # [doc] status of a command and of a job
TASK_DONE: Final = 2
TASK_FAILED: Final = -1
PREPARE_READY: Final = 0  # [doc] status of an instance in the reply of prepare, and of its progress
PROGRESS_QUEUING: Final = 1  # [doc]
PROGRESS_RESTORING: Final = 2
PROGRESS_BACKING_UP: Final = 3
PROGRESS_FAILED: Final = -1
TENANT_TOKEN_HEADER: Final = "x-auth-token"  # [doc]  # noqa: S105
REQUEST_ID_HEADER: Final = "x-request-id"  # [doc]
API_SUCCESS: Final = "0"  # [doc] error_code of success, whatever the HTTP status

SOCKETIO_PATH: Final = "/socket.io/"  # [seen]
AUTHORIZE_OK: Final = 0  # [seen]
AUTHORIZE_INVALID_TOKEN: Final = -1  # [seen]
AUTHORIZE_TOKEN_EXPIRED: Final = -2  # [seen]

CLOSE_CONNECT_TIMEOUT: Final = 1203  # [doc] JavaScript SDK codes
CLOSE_BROWSER_UNSUPPORTED: Final = 1300
CLOSE_BROWSER_FAILED: Final = 1301
CLOSE_TRIAL_OVER: Final = 1400
CLOSE_USER_LEFT: Final = 1401
CLOSE_TAKEN_OVER: Final = 1402
CLOSE_IDLE: Final = 1403
CLOSE_NO_MEDIA: Final = 1406
CLOSE_USER_MOVED: Final = 1412
CLOSE_WRONG_TOKEN: Final = 1415
CLOSE_UNKNOWN: Final = 3000

INPUT_CHANNEL_LABEL: Final = "input"  # [seen] unordered, maxRetransmits 0
INPUT_TOUCH: Final = 205  # [seen]
INPUT_KEY: Final = 207  # [seen]
INPUT_TEXT: Final = 211  # [seen]
