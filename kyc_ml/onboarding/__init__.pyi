from .demo_job import DemoResult as DemoResult
from .demo_job import run_demo as run_demo
from .init_job import run_init as run_init
from .synthesis import run_synth as run_synth
from .synthetic.bank import make_bank as make_bank
from .synthetic.settings import BankConfig as BankConfig
from .synthetic.settings import bank_config as bank_config
