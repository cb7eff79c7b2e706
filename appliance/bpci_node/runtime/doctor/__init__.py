"""The doctor: examinations that find issues on this machine, and repairs for those that a program may mend.

Each examination is a module of its own, named by what it looks at. What decides is a pure function beside what reads.
"""
