from .replay_job import Difference as Difference
from .replay_job import Replay as Replay
from .replay_job import ReplayRequest as ReplayRequest
from .replay_job import run_replay as run_replay
from .scorer import Scorer as Scorer
from .scorer import ServeRequest as ServeRequest
from .serve_job import run_serve as run_serve
